"""Where a request carries its credentials. Never the URL: those end up in logs and histories."""

from collections.abc import Mapping
from functools import lru_cache

from undercroft.identity.auth.gate import Credentials

BEARER = "bearer "


def read_credentials(headers: Mapping[str, str]) -> Credentials:
    """Read the credentials of a request, which a client repeats with every request."""
    get = headers.get
    return _credentials(get("x-session-token"), get("authorization"), get("apikey"), get("origin"))


@lru_cache(maxsize=1024)
def _credentials(
    session: str | None, authorization: str | None, api_key: str | None, origin: str | None
) -> Credentials:
    return Credentials(_token(session, authorization), api_key, origin)


def bearer(headers: Mapping[str, str]) -> str | None:
    """The access or session token of a request."""
    return _token(headers.get("x-session-token"), headers.get("authorization"))


def _token(session: str | None, authorization: str | None) -> str | None:
    if session:
        return session
    line = authorization or ""
    return line[len(BEARER) :].strip() or None if line[: len(BEARER)].lower() == BEARER else None
