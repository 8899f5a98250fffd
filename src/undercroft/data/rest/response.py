"""From the one row of a result to status, headers and body."""

import re
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from undercroft.data.rest.compile import Compiled, Intent
from undercroft.data.rest.errors import ANSWERABLE, Headers, RestError, out_of_bounds
from undercroft.data.rest.execute import Result
from undercroft.data.rest.preferences import Preferences, applied_header
from undercroft.data.rest.query_string import canonical
from undercroft.data.rest.ranges import content_range, range_status

_ALWAYS_APPLIED = ("count", "tx", "handling", "timezone")
_APPLIED = {
    "read": _ALWAYS_APPLIED,
    "insert": ("resolution", "missing", "return", *_ALWAYS_APPLIED),
    "update": ("missing", "return", *_ALWAYS_APPLIED, "max-affected"),
    "upsert": ("return", *_ALWAYS_APPLIED),
    "delete": ("return", *_ALWAYS_APPLIED, "max-affected"),
    "call": (*_ALWAYS_APPLIED, "max-affected"),
}
# What an answer depends on besides its address; `response.headers` may say otherwise.
VARY = (b"vary", b"Accept, Prefer, Range")
_LEADING_DIGITS = re.compile(rb"[0-9]+")


class Response(NamedTuple):
    """What goes out. A HEAD has its headers and no body."""

    status: int
    headers: Headers
    body: bytes


class Around(NamedTuple):
    """What a response says beside the result: its own address, its schema, where it started."""

    prefix: str
    query: bytes
    profile: str | None
    offset: int


def respond(intent: Intent, compiled: Compiled, result: Result, around: Around) -> Response:
    """Build the response of a finished statement."""
    if compiled.answer.media_type.is_plan:
        return Response(200, [*_content(compiled, around), VARY], result.body or b"")
    if intent.action in ("read", "call"):
        response = _rows(intent, compiled, result, around)
    else:
        response = _written(intent, compiled, result, around)
    response.headers.append(VARY)
    if compiled.warning is not None:
        response.headers.append(_warning(compiled.warning))
    return overridden(response, result)


def _content(compiled: Compiled, around: Around) -> Headers:
    headers: Headers = [(b"content-type", compiled.answer.media_type.content_type)]
    if around.profile is not None:
        headers.append((b"content-profile", around.profile.encode()))
    return headers


def _warning(text: str) -> tuple[bytes, bytes]:
    return b"warning", f'299 undercroft "{quote(text, safe=" `,.")}"'.encode()


def _preferences(intent: Intent, preferences: Preferences) -> Headers:
    applied = applied_header(preferences, _APPLIED[intent.action])
    return [(b"preference-applied", applied)] if applied else []


def _rows(intent: Intent, compiled: Compiled, result: Result, around: Around) -> Response:
    total, rows, offset = result.total, result.page, around.offset
    status = range_status(offset, rows, total)
    headers: Headers = [(b"content-range", content_range(offset, offset + rows - 1, total))]
    if intent.action == "read":
        headers.append((b"content-location", _location(intent, around, around.query)))
    elif compiled.function is not None and compiled.function.returns_void:
        return Response(204, [*headers, *_preferences(intent, intent.preferences)], b"")
    headers += _content(compiled, around)
    headers += _preferences(intent, intent.preferences)
    if status == 416:
        return Response(416, headers, out_of_bounds(offset, total or 0).body())
    return Response(status, headers, b"" if intent.headers_only else result.body or b"")


def _location(intent: Intent, around: Around, query: bytes) -> bytes:
    path = f"{around.prefix}/{intent.target.name}"
    text = canonical(query)
    return f"{path}?{text}".encode() if text else path.encode()


def _written(intent: Intent, compiled: Compiled, result: Result, around: Around) -> Response:
    preferences = intent.preferences
    full = preferences.representation == "representation"
    headers: Headers = []
    counted = result.page if preferences.counts else None
    if intent.action == "insert":
        headers += _created_at(intent, result, around)
        if not (compiled.table and compiled.table.primary_key) and not intent.shape.on_conflict:
            preferences = _without_resolution(preferences)
    if intent.action == "update":
        headers.append((b"content-range", content_range(0, result.page - 1, counted)))
    elif intent.action != "upsert":
        headers.append((b"content-range", content_range(1, 0, counted)))
    headers += _preferences(intent, preferences)
    if full:
        headers += _content(compiled, around)
    return Response(_written_status(intent, result, full=full), headers, result.body or b"")


def _written_status(intent: Intent, result: Result, *, full: bool) -> int:
    added = (result.page if result.inserted is None else result.inserted) > 0
    if intent.action == "insert":
        return 201 if added or intent.preferences.resolution != "merge-duplicates" else 200
    if not full:
        return 204
    return 201 if intent.action == "upsert" and added else 200


def _created_at(intent: Intent, result: Result, around: Around) -> Headers:
    if not result.location:
        return []
    pairs = (item.partition("=") for item in orjson.loads(result.location))
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, _, value in pairs)
    return [(b"location", f"{around.prefix}/{intent.target.name}?{query}".encode())]


def _without_resolution(preferences: Preferences) -> Preferences:
    return replace(preferences, resolution=None)


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
    return [_read_header(item) for item in items]


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
