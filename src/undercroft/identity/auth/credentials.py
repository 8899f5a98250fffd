"""Where a request carries its credentials. Never the URL: those end up in logs and histories."""

from collections.abc import Mapping

from undercroft.identity.auth.gate import Credentials

BEARER = "bearer "


def read_credentials(headers: Mapping[str, str]) -> Credentials:
    return Credentials(bearer(headers), headers.get("apikey"), headers.get("origin"))


def bearer(headers: Mapping[str, str]) -> str | None:
    """The access or session token of a request."""
    given = headers.get("x-session-token")
    if given:
        return given
    line = headers.get("authorization", "")
    return line[len(BEARER) :].strip() or None if line[: len(BEARER)].lower() == BEARER else None
