"""The grid: rows by page and by key, through the engine of `/rest/v1` and the caller's own rights.

Operators with `rows:manage` may pass row security; they must ask for it with every call, so that
what they see otherwise is what their policies show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.csv_text import fields
from undercroft.data.plane import RowsPlane
from undercroft.data.rest import Caller, RestError
from undercroft.data.rest.query_string import encoded, quoted_name
from undercroft.data.tables.errors import ColumnNotFound
from undercroft.data.tables.queries import Table, list_columns, list_primary_key
from undercroft.data.tables.rows.errors import (
    NoPrimaryKey,
    RowKeyInvalid,
    RowNotFound,
    RowsConflict,
    RowsForbidden,
    RowsRefused,
    SchemaNotServed,
)
from undercroft.data.tables.rows.schemas import PageOfRows, RowPage, Wanted
from undercroft.foundation.access import Actor, Role
from undercroft.foundation.problems import MissingPermission, Problem, Unavailable

PAST_SECURITY = "rows:manage"
# Parameters of the grid itself, and words of the engine that would change what comes back.
OURS = frozenset(
    {"schema", "page", "page_size", "order_by", "filter_column", "filter_value"}
    | {"past_row_security", "select", "order", "limit", "offset", "columns", "on_conflict"}
)
TEXTS = ("text", "character", "citext", "name")
RETURNED = "return=representation"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table and as whom it is looked at."""

    rows: RowsPlane
    table: Table
    caller: Caller


def as_whom(actor: Actor, *, past: bool) -> Caller:
    """The database role of a call. Raises `MissingPermission` for going past row security."""
    if not past:
        return Caller(actor.role.value, actor.claims)
    if not actor.has(PAST_SECURITY):
        raise MissingPermission(PAST_SECURITY)
    return Caller(Role.SERVICE.value, actor.claims)


async def list_rows(
    session: AsyncSession, grid: Grid, wanted: Wanted, filters: Sequence[tuple[str, str]]
) -> RowPage:
    columns = {row["name"]: row["type"] for row in await list_columns(session, grid.table)}
    offset = (wanted.page - 1) * wanted.page_size
    pairs = [("limit", str(wanted.page_size)), ("offset", str(offset))]
    pairs += [(key, value) for key, value in filters if key not in OURS]
    if wanted.order_by:
        terms = [_order(term, columns) for term in wanted.order_by]
        pairs.append(("order", ",".join(terms)))
    if wanted.filter_column is not None:
        pairs.append(contains(wanted.filter_column, wanted.filter_value, columns))
    rows, total = await _ask(grid, "GET", pairs, prefer="count=exact")
    metadata = PageOfRows(
        total_count=total,
        page=wanted.page,
        page_size=wanted.page_size,
        total_pages=-(-total // wanted.page_size),
        columns=list(columns),
    )
    return RowPage(data=rows, metadata=metadata)


async def create_row(grid: Grid, body: bytes) -> dict[str, Any]:
    rows, _ = await _ask(grid, "POST", [], prefer=RETURNED, body=_object(body))
    return dict(rows[0])


async def update_row(session: AsyncSession, grid: Grid, row_id: str, body: bytes) -> dict[str, Any]:
    key = await _key(session, grid.table, row_id)
    content = _object(body)
    # To the engine a body that changes nothing is one for no row.
    method, sent = ("PATCH", content) if orjson.loads(content) else ("GET", b"")
    rows, _ = await _ask(grid, method, key, prefer=RETURNED, body=sent)
    if not rows:
        raise RowNotFound
    return dict(rows[0])


async def delete_row(session: AsyncSession, grid: Grid, row_id: str) -> None:
    key = await _key(session, grid.table, row_id)
    _, deleted = await _ask(grid, "DELETE", key, prefer="count=exact")
    if not deleted:
        raise RowNotFound


async def _ask(
    grid: Grid,
    method: str,
    pairs: Sequence[tuple[str, str]],
    *,
    prefer: str,
    body: bytes = b"",
) -> tuple[list[dict[str, Any]], int]:
    """Rows and their exact number, where that was asked for."""
    schema, name = grid.table.schema, grid.table.name
    if schema not in grid.rows.schemas:
        raise SchemaNotServed(grid.rows.schemas)
    query = "&".join(f"{encoded(key)}={encoded(value)}" for key, value in pairs)
    try:
        answer = await grid.rows.ask(
            method, schema, name, query.encode(), grid.caller, prefer=prefer, body=body
        )
    except RestError as error:
        raise _problem(error) from error
    content_range = dict(answer.headers).get(b"content-range", b"*/*")
    total = content_range.rpartition(b"/")[2]
    rows = orjson.loads(answer.body) if answer.body and answer.status != 416 else []
    return rows, int(total) if total.isdigit() else len(rows)


def _problem(error: RestError) -> Problem:
    if error.status in (503, 504):
        return Unavailable()
    if error.status in (401, 403):
        return RowsForbidden(error.code, error.message, error.hint)
    kind = RowsConflict if error.status == 409 else RowsRefused
    return kind(error.code, error.message)


async def _key(session: AsyncSession, table: Table, row_id: str) -> list[tuple[str, str]]:
    names = await list_primary_key(session, table)
    if not names:
        raise NoPrimaryKey
    # Of several columns like a line of CSV: `1,"a, b"`.
    values = [row_id] if len(names) == 1 else fields(row_id)
    if len(values) != len(names):
        raise RowKeyInvalid(names)
    return [(quoted_name(n), f"eq.{v}") for n, v in zip(names, values, strict=True)]


def _order(term: str, columns: dict[str, str]) -> str:
    name, _, direction = term.rpartition(":")
    if direction not in ("asc", "desc") or not name:
        name, direction = term, "asc"
    if name not in columns:
        raise ColumnNotFound(name)
    return f"{quoted_name(name)}.{direction}"


def contains(name: str, value: str, columns: Mapping[str, str]) -> tuple[str, str]:
    """Part of a text; of any other type the value as a whole."""
    if name not in columns:
        raise ColumnNotFound(name)
    if not columns[name].removeprefix("extensions.").startswith(TEXTS):
        return quoted_name(name), f"eq.{value}"
    return quoted_name(name), f"imatch.{_literal(value)}"


def _literal(value: str) -> str:
    """A regular expression that matches exactly this text."""
    return "".join(f"\\{letter}" if not letter.isalnum() else letter for letter in value)


def _object(body: bytes) -> bytes:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RowsRefused("22P02", "The body is not JSON.") from error
    if not isinstance(found, dict):
        raise RowsRefused("22P02", "The body is not a JSON object.")
    return body
