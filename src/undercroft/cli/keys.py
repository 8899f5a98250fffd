"""`undercroft keys`: the keys that clients send as `apikey`."""

from typing import TYPE_CHECKING

import typer

from undercroft.cli.identity import with_identity
from undercroft.cli.options import HomeOption, JsonOption

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from undercroft.identity.parts import Identity

app = typer.Typer(help="API keys of the roles.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """API keys of the roles."""


@app.command("show")
def show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print the anon key, which may be public, and the service key, which opens everything."""
    import json

    async def read(session: "AsyncSession", identity: "Identity") -> dict[str, str]:
        from undercroft.identity.bootstrap import role_keys

        keys = await role_keys(session, identity.keyring)
        return {"anon": keys["anon"], "service": keys["service_role"]}

    keys = with_identity(home, "keys show", read)
    print(json.dumps(keys) if as_json else "\n".join(f"{k:8} {v}" for k, v in keys.items()))


@app.command("rotate")
def rotate(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Sign with a new key from now on and print new role keys.

    What the old key signed, the old role keys included, stays good for the longest lifetime of a
    token: give clients the new role keys before that.
    """
    import json

    async def work(session: "AsyncSession", identity: "Identity") -> dict[str, str]:
        from undercroft.foundation.clock import utc_now
        from undercroft.identity.bootstrap import role_keys
        from undercroft.identity.rotation import rotate_keys

        await rotate_keys(identity, now=utc_now())
        keys = await role_keys(session, identity.keyring)
        return {"anon": keys["anon"], "service": keys["service_role"]}

    keys = with_identity(home, "keys rotate", work)
    print(json.dumps(keys) if as_json else "\n".join(f"{k:8} {v}" for k, v in keys.items()))
