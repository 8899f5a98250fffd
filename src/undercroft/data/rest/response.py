"""From the one row of a result to status, headers and body."""

import re
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from undercroft.data.rest.compile import Intent
from undercroft.data.rest.errors import ANSWERABLE, Headers, RestError, out_of_bounds
from undercroft.data.rest.execute import Result
from undercroft.data.rest.query_string import canonical
from undercroft.data.rest.ranges import content_range, range_status
from undercroft.data.rest.understood import Understood

# Where a body ends is not for the database to say, which does not write it to the client.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_LEADING_DIGITS = re.compile(rb"[0-9]+")


class Response(NamedTuple):
    """What goes out. A HEAD has its headers and no body; a status may have words of its own."""

    status: int
    headers: Headers
    body: bytes
    reason: bytes = b""


def respond(understood: Understood, result: Result, query: bytes) -> Response:
    """Build the response of a finished statement."""
    response = respond_within(understood, result, query)
    response.headers.extend(understood.frame.headers)
    return overridden(response, result)


def respond_within(understood: Understood, result: Result, query: bytes) -> Response:
    """The same without the headers of the frame, where the database says nothing of its own."""
    if understood.compiled.answer.media_type.is_plan:
        return Response(200, [], result.body or b"")
    reads = understood.intent.action in ("read", "call")
    return _rows(understood, result, query) if reads else _written(understood, result)


def _rows(understood: Understood, result: Result, query: bytes) -> Response:
    intent, frame = understood.intent, understood.frame
    total, rows, offset = result.total, result.page, understood.window.offset
    status = range_status(offset, rows, total)
    headers = [(b"content-range", content_range(offset, offset + rows - 1, total))]
    if intent.action == "read":
        headers.append((b"content-location", _address(frame.path, canonical(query))))
    elif understood.compiled.returns_nothing:
        return Response(204, headers, b"")
    if status == 416:
        return Response(416, headers, out_of_bounds(offset, total or 0).body())
    return Response(status, headers, b"" if intent.headers_only else result.body or b"")


def _address(path: str, query: str) -> bytes:
    return f"{path}?{query}".encode() if query else path.encode()


def _written(understood: Understood, result: Result) -> Response:
    intent, frame = understood.intent, understood.frame
    counted = result.page if intent.preferences.counts else None
    headers: Headers = []
    if intent.action == "insert" and result.location:
        headers.append((b"location", _address(frame.path, _key_query(result.location))))
    if intent.action == "update":
        headers.append((b"content-range", content_range(0, result.page - 1, counted)))
    elif intent.action != "upsert":
        headers.append((b"content-range", content_range(1, 0, counted)))
    return Response(_written_status(intent, result), headers, result.body or b"")


def _written_status(intent: Intent, result: Result) -> int:
    added = (result.page if result.inserted is None else result.inserted) > 0
    preferences = intent.preferences
    if intent.action == "insert":
        return 201 if added or preferences.resolution != "merge-duplicates" else 200
    if preferences.representation != "representation":
        return 204
    return 201 if intent.action == "upsert" and added else 200


def _key_query(location: bytes) -> str:
    pairs = (item.partition("=") for item in orjson.loads(location))
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, _, value in pairs)


def overridden(response: Response, result: Result) -> Response:
    """Let the database have the last word, by `response.status` and `response.headers`."""
    if result.status is None and result.headers is None:
        return response
    status = response.status if result.status is None else _read_status(result.status)
    added = [] if result.headers is None else _read_headers(result.headers)
    names = {name for name, _ in added}
    kept = [header for header in response.headers if header[0] not in names]
    return Response(status, [*kept, *added], response.body)


def _read_status(text: bytes) -> int:
    digits = _LEADING_DIGITS.match(text)
    if digits is None or int(digits.group()) not in ANSWERABLE:
        raise RestError(500, "PGRST112", "response.status guc must be a valid status code")
    return int(digits.group())


def _read_headers(text: bytes) -> Headers:
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _bad_headers() from error
    if not isinstance(items, list):
        raise _bad_headers()
    headers = [_read_header(item) for item in items]
    return [header for header in headers if header[0] not in _FRAMING]


def _read_header(item: Any) -> tuple[bytes, bytes]:
    if not isinstance(item, dict) or len(item) != 1:
        raise _bad_headers()
    ((name, value),) = item.items()
    if not isinstance(value, str):
        raise _bad_headers()
    return name.lower().encode("latin-1", "replace"), value.encode()


def _bad_headers() -> RestError:
    return RestError(
        500,
        "PGRST111",
        "response.headers guc must be a JSON array composed of objects with a single key"
        " and a string value",
    )
