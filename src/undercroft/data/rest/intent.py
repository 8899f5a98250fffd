"""Reads a request into an `Intent` and its values."""

from typing import NamedTuple

from undercroft.data.rest import media
from undercroft.data.rest.body import Payload, read_arguments, read_rows
from undercroft.data.rest.compile import Intent
from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.media import parse_media_type
from undercroft.data.rest.preferences import NO_PREFERENCES, Preferences, parse_preferences
from undercroft.data.rest.query_string import QueryString, read_query, split_pairs
from undercroft.data.rest.ranges import EVERYTHING, Slice, Window, slice_of, top_window
from undercroft.data.rest.request import HttpRequest, Resource, has_body
from undercroft.data.rest.syntax.filters import array_literal
from undercroft.data.rest.syntax.select import parse_columns
from undercroft.data.schema.model import Catalog, Function, QualifiedName

Arguments = list[tuple[str, str]]


class Wanted(NamedTuple):
    """A request understood."""

    intent: Intent
    values: list[str | None]
    window: Window


def read_preferences(request: HttpRequest, config: RestConfig, catalog: Catalog) -> Preferences:
    prefer = request.headers.get("prefer")
    if prefer is None:
        return NO_PREFERENCES
    return parse_preferences(
        prefer, tx_override=config.tx_end.may_override, timezones=catalog.timezones
    )


def read_table_intent(
    request: HttpRequest,
    resource: Resource,
    schema: str,
    body: bytes | None,
    *,
    config: RestConfig,
    catalog: Catalog,
) -> Wanted:
    """Read a request on a relation."""
    query = read_query(split_pairs(request.query))
    window = _window(request, query)
    values: list[str | None] = [*query.values]
    reads = resource.action == "read"
    intent = Intent(
        resource.action,
        QualifiedName(schema, resource.name),
        query.shape,
        read_preferences(request, config, catalog),
        request.headers.get("accept"),
        _add_windows(values, window, query, config.max_rows) if reads else (),
        headers_only=request.method == "HEAD",
    )
    if reads:
        return Wanted(intent, values, window)
    if body is None or not has_body(resource.action, request.method):
        return Wanted(intent, values, EVERYTHING)
    columns = query.shape.columns if resource.action in ("insert", "update") else None
    payload = read_rows(body, content_type_of(request), _columns(columns))
    return _with_body(Wanted(intent, values, EVERYTHING), payload)


def read_call_intent(
    request: HttpRequest,
    resource: Resource,
    schema: str,
    body: bytes | None,
    *,
    config: RestConfig,
    catalog: Catalog,
) -> Wanted:
    """Read a request on a function."""
    posted = body is not None
    query = read_query(split_pairs(request.query), calls_function=not posted)
    window = _window(request, query)
    values: list[str | None] = [*query.values]
    target = QualifiedName(schema, resource.name)
    intent = Intent(
        "call",
        target,
        query.shape,
        read_preferences(request, config, catalog),
        request.headers.get("accept"),
        windows=_add_windows(values, window, query, config.max_rows),
        headers_only=request.method == "HEAD",
    )
    wanted = Wanted(intent, values, window)
    functions = catalog.functions.get(target, ())
    if body is None:
        return _with_arguments(wanted, query.arguments, functions)
    content_type = content_type_of(request)
    columns = query.shape.columns
    payload = read_arguments(body, content_type, _columns(columns))
    wanted = wanted._replace(intent=wanted.intent._replace(content_type=content_type))
    if payload.pairs is not None:
        return _with_arguments(wanted, list(payload.pairs), functions)
    return _with_body(wanted, payload)


def _window(request: HttpRequest, query: QueryString) -> Window:
    # RFC 9110 defines Range for GET alone.
    range_header = request.headers.get("range") if request.method == "GET" else None
    if query.limit is None and query.offset is None and range_header is None:
        return EVERYTHING
    if request.method == "PUT":
        raise RestError(
            400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT"
        )
    return top_window(query.limit, query.offset, range_header)


def _add_windows(
    values: list[str | None], window: Window, query: QueryString, max_rows: int | None
) -> tuple[tuple[str, Slice], ...]:
    """Append the limits and offsets to the values; `max_rows` bounds embeds as well."""
    top = window.at_most(max_rows)
    if top.is_everything and not query.windows:
        return ()
    found = [] if top.is_everything else [("", top)]
    found += [(path, inner.at_most(max_rows)) for path, inner in query.windows.items()]
    return tuple((path, slice_of(bound, values)) for path, bound in found)


def _with_body(wanted: Wanted, payload: Payload) -> Wanted:
    slot = len(wanted.values)
    intent = wanted.intent._replace(
        body_keys=payload.keys, body_is_object=payload.is_object, body_slot=slot
    )
    return wanted._replace(intent=intent, values=[*wanted.values, payload.text])


def _with_arguments(
    wanted: Wanted, arguments: Arguments, functions: tuple[Function, ...]
) -> Wanted:
    """Append the arguments to the values; repeated ones of a variadic become one array."""
    variadic = {
        item.name for function in functions for item in function.parameters if item.variadic
    }
    merged: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for name, value in arguments:
        if name in variadic:
            lists.setdefault(name, []).append(value)
        merged[name] = value
    values = list(wanted.values)
    slots = []
    for name in sorted(merged):
        slots.append((name, len(values)))
        values.append(array_literal(lists[name]) if name in lists else merged[name])
    return wanted._replace(intent=wanted.intent._replace(arguments=tuple(slots)), values=values)


def _columns(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else parse_columns(text)


def content_type_of(request: HttpRequest) -> str:
    header = request.headers.get("content-type")
    return media.JSON if header is None else parse_media_type(header).name
