"""What commands that ask a running server have in common: where it is and who asks."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    import httpx2

UrlOption = Annotated[
    str | None,
    typer.Option(
        envvar="UNDERCROFT_URL",
        help="A running server. Default: the one that serves the home, else port 8000 here.",
        show_default=False,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        envvar="UNDERCROFT_KEY",
        help="Service key or access token. Default: the service key of the home.",
        show_default=False,
    ),
]
DEFAULT_URL = "http://127.0.0.1:8000"


def fail(sentence: str, cause: Exception | None = None) -> NoReturn:
    print(f"undercroft: {sentence}", file=sys.stderr)
    raise typer.Exit(1) from cause


def unreachable(url: str, error: "httpx2.TransportError", consequence: str) -> NoReturn:
    import httpx2

    if isinstance(error, httpx2.ConnectError):
        fail(
            f"Nothing answers at {url}. Start `undercroft serve`, or name another server by --url.",
            error,
        )
    fail(f"The connection to {url} broke; {consequence}.", error)


def server(url: str | None, home: Path | None) -> str:
    """Where the server is: as told, else as the `serve` that holds the home announced it."""
    from undercroft.cli.options import settings_for
    from undercroft.foundation.embedded import Home, HomeLock

    if url and not url.startswith(("http://", "https://")):
        raise typer.BadParameter("It must begin with http:// or https://.", param_hint="--url")
    if url:
        return url
    holder = HomeLock(Home(settings_for(home).home)).holder()
    return (holder and holder.url) or DEFAULT_URL


def address(url: str, path: str) -> str:
    """The address of a path of the control plane."""
    from undercroft.foundation.settings import load_settings

    return f"{url.rstrip('/')}{load_settings().prefix}{path}"


def bearer(key: str | None, home: Path | None, command: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key or _service_key(home, command)}"}


def get(
    path: str, *, url: str | None, key: str | None, home: Path | None, command: str, **params: Any
) -> "httpx2.Response":
    """Ask the control plane; a refusal ends the command with its sentence."""
    import httpx2

    url = server(url, home)
    headers = bearer(key, home, command)
    try:
        response = httpx2.get(address(url, path), headers=headers, params=params, timeout=60)
    except httpx2.TransportError as error:
        unreachable(url, error, "nothing was read")
    if response.is_error:
        fail(sentence_of(response))
    return response


def sentence_of(response: "httpx2.Response") -> str:
    """A problem in one line; anything else that answered, by its status."""
    try:
        body = response.json()
        return f"{body['title']}. {body['detail']}".strip()
    except (ValueError, KeyError, TypeError):
        return f"The server answered {response.status_code}."


def _service_key(home: Path | None, command: str) -> str:
    from undercroft.cli.identity import with_identity
    from undercroft.identity.bootstrap import role_keys

    async def read(session: Any, identity: Any) -> str:
        return (await role_keys(session, identity.keyring))["service_role"]

    return with_identity(home, command, read)
