"""Cross-origin requests, for an app that browsers reach directly."""

from undercroft.data.rest.errors import Headers
from undercroft.data.rest.request import HttpRequest
from undercroft.data.rest.response import Response

_METHODS = b"GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"
_SAFE_HEADERS = ("Accept", "Accept-Language", "Content-Language")
_EXPOSED = (
    b"Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server,"
    b" Transfer-Encoding, Range-Unit"
)
_DAY = b"86400"


def preflight(request: HttpRequest, allowed: tuple[str, ...]) -> Response | None:
    """Answer a preflight from an allowed origin; None for every other request."""
    if request.method != "OPTIONS" or "access-control-request-method" not in request.headers:
        return None
    headers = _origin_headers(request, allowed)
    if not headers:
        return None
    asked = request.headers.get("access-control-request-headers", "")
    names = ["Authorization", *(name.strip() for name in asked.split(",") if name.strip())]
    headers += [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", ", ".join([*names, *_SAFE_HEADERS]).encode()),
        (b"access-control-max-age", _DAY),
    ]
    return Response(200, headers, b"")


def cors_headers(request: HttpRequest, allowed: tuple[str, ...]) -> Headers:
    """Return what a response to an allowed origin says beside its own headers."""
    headers = _origin_headers(request, allowed)
    return [*headers, (b"access-control-expose-headers", _EXPOSED)] if headers else []


def _origin_headers(request: HttpRequest, allowed: tuple[str, ...]) -> Headers:
    origin = request.headers.get("origin")
    if origin is None:
        return []
    if not allowed:
        return [(b"access-control-allow-origin", b"*")]
    if origin not in allowed:
        return []
    return [
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-allow-credentials", b"true"),
    ]
