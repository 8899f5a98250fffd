"""SQL around a query that makes its whole result one row: counts, body, headers, status.

Every statement returns the same columns in the same order, so that one function runs them all; what
would be null at their end is left out, since a column costs about half a microsecond.
"""

from undercroft.data.rest.plan.negotiate import Answer, Writer
from undercroft.data.rest.plan.tree import SOURCE
from undercroft.data.rest.query.sql import comma, literal, qualified
from undercroft.data.rest.query.write import inserted
from undercroft.data.schema.model import Function

# ruff: noqa: S608 - all SQL here is made of quoted names and slots

_ROW = "_undercroft_t"
_NO_TEXT = "NULL"
_NO_NUMBER = "NULL::bigint"
_SETTINGS = (
    "nullif(current_setting('response.headers', true), '') AS response_headers, "
    "nullif(current_setting('response.status', true), '') AS response_status"
)


def read_result(query: str, count_query: str | None, answer: Answer, *, windowed: bool) -> str:
    """Wrap a read. Without a window the rows at hand are the total, and are counted once."""
    total = _NO_NUMBER
    if count_query is not None:
        total = _total(count_query) if windowed else "count(*)"
    columns = _columns(total=total, page="count(*)", body=write_body(answer, None))
    if answer.writer is Writer.CSV:  # it looks at the rows twice
        return f"WITH {SOURCE} AS ({query}) SELECT {columns} FROM (SELECT * FROM {SOURCE}) {_ROW}"
    return f"SELECT {columns} FROM ({query}) {_ROW}"


def write_result(
    mutation: str,
    query: str | None,
    answer: Answer,
    *,
    location_keys: tuple[str, ...] | None,
    counts_inserted: bool,
) -> str:
    """Wrap a write; `query` reads its rows when they are asked for."""
    columns = _columns(
        body=write_body(answer, None),
        location=_NO_TEXT if location_keys is None else _location(location_keys),
        added=inserted() if counts_inserted else _NO_NUMBER,
        explained=answer.media_type.is_plan,
    )
    rows = query if query is not None else f"SELECT * FROM {SOURCE}"
    return f"WITH {SOURCE} AS ({mutation}) SELECT {columns} FROM ({rows}) {_ROW}"


def call_result(
    call: str,
    query: str,
    count_query: str | None,
    answer: Answer,
    function: Function,
    *,
    windowed: bool,
) -> str:
    """Wrap a function call; one that does not return a set is one row whatever it returns."""
    page = f"count({_ROW})" if function.returns_set else "1::bigint"
    total = _NO_NUMBER
    if count_query is not None:
        total = _total(count_query) if windowed else page
    columns = _columns(
        total=total,
        page=page,
        body=write_body(answer, function),
    )
    return f"WITH {SOURCE} AS ({call}) SELECT {columns} FROM ({query}) {_ROW}"


def _columns(
    *,
    body: str,
    total: str = _NO_NUMBER,
    page: str = f"count({_ROW})",
    location: str = _NO_TEXT,
    added: str = _NO_NUMBER,
    explained: bool = False,
) -> str:
    always = [f"{total} AS total", f"{page} AS page", f"{body} AS body", _SETTINGS]
    of_writes = [f"{location} AS location", f"{added} AS inserted"]
    if explained:  # where people who read plans of PostgREST's writes look for the body
        return comma([*always[:2], of_writes[0], *always[2:], of_writes[1]])
    while of_writes and of_writes[-1].startswith(_NO_TEXT):
        of_writes.pop()
    return comma([*always, *of_writes])


def _total(count_query: str) -> str:
    return f"(SELECT count(*) FROM ({count_query}) _undercroft_count)"


def write_body(answer: Answer, function: Function | None) -> str:
    """Write the body, as a text or as bytes: either goes to the client untouched."""
    if answer.writer is Writer.NOTHING:
        return "NULL"
    custom = answer.writer is Writer.CUSTOM
    value = _custom(answer, function) if custom else _text_body(answer.writer, function)
    if answer.media_type.is_plan:
        return value  # it is explained, not run, and is easier to read
    content = answer.handler.content if answer.handler is not None else "text"
    if content == "jsonb":  # PostgREST sends it as Postgres does, with the byte of its version
        return f"jsonb_send({value})"
    return f"({value})::{'bytea' if content == 'bytea' else 'text'}"


def _text_body(writer: Writer, function: Function | None) -> str:
    match writer:
        case Writer.CSV:
            return _csv()
        case Writer.GEOJSON:
            features = f"coalesce(json_agg(ST_AsGeoJSON({_ROW})::json), '[]')"
            return f"json_build_object('type', 'FeatureCollection', 'features', {features})"
        case Writer.OBJECT | Writer.OBJECT_STRIPPED:
            scalar = function is not None and function.returns_scalar
            return _json(writer, scalar=scalar, single=True)
    scalar = function is not None and not function.returns_composite
    single = function is not None and not function.returns_set
    return _json(writer, scalar=scalar, single=single)


def _json(writer: Writer, *, scalar: bool, single: bool) -> str:
    rows = f"json_agg({_ROW}.pgrst_scalar)" if scalar else f"json_agg({_ROW})"
    rows = f"({rows}->0)" if single else rows
    if writer in (Writer.JSON_STRIPPED, Writer.OBJECT_STRIPPED):
        rows = f"json_strip_nulls({rows})"
    return f"coalesce({rows}, '{'null' if single else '[]'}')"


def _csv() -> str:
    """Write CSV by PostgreSQL's own text of a row, whose quoting is that of CSV."""
    header = (
        "(SELECT coalesce(string_agg(name, ','), '') FROM (SELECT json_object_keys(row_to_json(_))"
        f" AS name FROM (SELECT * FROM {SOURCE} LIMIT 1) _) _)"
    )
    row = f"{_ROW}::text"
    lines = f"string_agg(substring({row}, 2, length({row}) - 2), E'\\n')"
    return f"{header} || E'\\n' || coalesce({lines}, '')"


def _custom(answer: Answer, function: Function | None) -> str:
    handler = answer.handler
    assert handler is not None
    if not handler.is_aggregate:
        return f"{_ROW}.pgrst_scalar"
    if function is not None and function.returns_scalar:
        return f"{qualified(handler.function)}({_ROW}.pgrst_scalar)"
    if handler.target is None:
        return f"{qualified(handler.function)}({_ROW})"
    return f"{qualified(handler.function)}({_ROW}::{qualified(handler.target)})"


def _location(keys: tuple[str, ...]) -> str:
    """Write `key=eq.value` of the one row, for the Location header; nothing for many rows."""
    names = comma([literal(key) for key in keys]) or "NULL"
    return (
        f"CASE WHEN count({_ROW}) = 1 THEN ("
        "SELECT json_agg(field.key || '=' || coalesce('eq.' || field.value, 'is.null'))::text"
        f" FROM (SELECT row_to_json(_) AS fields FROM {SOURCE} AS _ LIMIT 1) AS one,"
        " json_each_text(one.fields) AS field"
        f" WHERE field.key IN ({names})) END"
    )
