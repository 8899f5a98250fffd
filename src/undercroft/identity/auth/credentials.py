"""Where a request carries its credentials. Never the URL: those end up in logs and histories."""

from collections.abc import Mapping

from undercroft.identity.auth.gate import Credentials

BEARER = "bearer "


def read_credentials(headers: Mapping[str, str]) -> Credentials:
    return Credentials(bearer(headers), headers.get("apikey"), headers.get("origin"))


def bearer(headers: Mapping[str, str]) -> str | None:
    """The access or session token of a request."""
    return _token(headers.get("x-session-token"), headers.get("authorization"))


def _token(session: str | None, authorization: str | None) -> str | None:
    if session:
        return session
    line = authorization or ""
    return line[len(BEARER) :].strip() or None if line[: len(BEARER)].lower() == BEARER else None
