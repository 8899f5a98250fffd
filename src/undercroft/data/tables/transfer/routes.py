"""`/tables/{table}/import` and `/export`: HTTP in and out."""

from collections.abc import Sequence
from email.message import Message
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Query, Request
from pydantic import StringConstraints
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from undercroft.data.csv_text import fields
from undercroft.data.parts import Data, DataParts
from undercroft.data.tables import queries
from undercroft.data.tables.access import SchemaName
from undercroft.data.tables.errors import (
    ColumnNotFound,
    ExportsBusy,
    ImportRefused,
    ImportsBusy,
    NoTableToFill,
    StatementRefused,
    TableBusy,
    TableNotFound,
)
from undercroft.data.tables.queries import Table
from undercroft.data.tables.rows.errors import RowsRefused, SchemaNotServed
from undercroft.data.tables.rows.service import contains
from undercroft.data.tables.transfer.charsets import as_utf8, find_charset
from undercroft.data.tables.transfer.exports import Export, RunningExport
from undercroft.data.tables.transfer.exports import Format as ExportFormat
from undercroft.data.tables.transfer.filters import OURS, Where, plan_where
from undercroft.data.tables.transfer.imports import import_rows
from undercroft.data.tables.transfer.once import ImportAnswer
from undercroft.data.tables.transfer.schemas import Imported
from undercroft.data.tables.transfer.sources import Format
from undercroft.data.tables.transfer.upserts import Resolution, Upsert
from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.http import CurrentActor, Parts, Router
from undercroft.foundation.problems import ClientGone, UnsupportedMediaType

PERMISSIONS = (
    Permission("tables:import", "Fill tables from files, past row security."),
    Permission("tables:export", "Copy whole tables into files, past row security."),
)
EXPORT_TYPES: dict[ExportFormat, str] = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
}
EXPORT_BODY = {
    "responses": {
        "200": {
            "description": "The rows, streamed; the connection breaks where a copy does.",
            "content": {
                kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
                for kind in EXPORT_TYPES.values()
            },
        }
    }
}
MEDIA_TYPES: dict[str, Format] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
}

CONFLICT = (
    "Columns of a unique constraint, comma-separated, by which a row is known."
    " Without them every row must be new."
)
RENAMING = "`name in the file:column`, where they differ. All others are called as in the file."
Renamed = Annotated[str, StringConstraints(pattern=r"^[^\x00]+:[^\x00:]+$", max_length=200)]

router = Router("/tables/{table}", tag="data")

IMPORT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES
        },
    }
}


@router.post(
    "/import",
    access=Needs("tables:import"),
    openapi=IMPORT_BODY,
    streams=True,
    response_model=Imported,
    problems=(
        NoTableToFill,
        ColumnNotFound,
        ImportRefused,
        ImportsBusy,
        TableBusy,
        StatementRefused,
        UnsupportedMediaType,
    ),
)
async def import_table(
    request: Request,
    table: Annotated[str, Path(max_length=63)],
    parts: Parts,
    data: DataParts,
    schema: SchemaName = "public",
    null: Annotated[str, Query(max_length=20, description="Text for NULL in CSV.")] = "",
    columns: Annotated[list[Renamed] | None, Query(description=RENAMING)] = None,
    on_conflict: Annotated[str, Query(max_length=10_000, description=CONFLICT)] = "",
    resolution: Annotated[
        Resolution, Query(description="What becomes of rows that are there: of use to on_conflict.")
    ] = "merge",
) -> Response:
    """Fill a table from CSV with a header line, or from NDJSON. All rows or none.

    A file that is not UTF-8 names its charset: `Content-Type: text/csv; charset=windows-1252`.

    With `on_conflict`, rows that the table has already are changed to what the file says, or left
    as they are; the file itself may name none of them twice if it is to change them.
    """
    kind, charset = _content(request)
    if data.imports.locked():
        raise ImportsBusy
    # The copy takes hours if it must: no transaction of the request stays open meanwhile.
    async with parts.database.unit_of_work() as session:
        try:
            found = await queries.get_table(session, schema, table)
        except TableNotFound as error:
            raise NoTableToFill(table) from error
        rows = await queries.list_columns(session, found)
    known = {row["name"]: row["type"] for row in rows if row["generated"] is None}
    keys = _chosen(on_conflict, list(known)) if on_conflict else ()
    answer = ImportAnswer(request, parts, kind, charset)
    async with data.imports:
        try:
            imported = await import_rows(
                data.developer,
                parts.settings.data,
                found,
                known,
                as_utf8(answer.body, charset),
                kind=kind,
                null=null,
                renamed=_renamed(columns or ()),
                upsert=Upsert(keys, resolution) if keys else None,
                once=answer,
            )
            return await answer.after(imported=imported)
        except ClientDisconnect as error:
            raise ClientGone from error


def _content(request: Request) -> tuple[Format, str]:
    """The kind of file, and the codec of its charset."""
    said = Message()
    said["content-type"] = request.headers.get("content-type", "")
    kind = MEDIA_TYPES.get(said.get_content_type())
    if kind is None:
        raise UnsupportedMediaType("text/csv or application/x-ndjson")
    charset = find_charset(said.get_content_charset("utf-8"))
    if charset is None:
        raise UnsupportedMediaType("a charset that is known, as utf-8, windows-1252 or utf-16")
    return kind, charset


def _renamed(pairs: Sequence[str]) -> dict[str, str]:
    """The columns by the names that the file has for them; a column's name has no colon here."""
    return {name: column for name, _, column in (pair.rpartition(":") for pair in pairs)}


@router.get(
    "/export",
    access=Needs("tables:export"),
    openapi=EXPORT_BODY,
    response_class=StreamingResponse,
    problems=(
        TableNotFound,
        SchemaNotServed,
        ColumnNotFound,
        RowsRefused,
        ExportsBusy,
        TableBusy,
        StatementRefused,
    ),
)
async def export_table(
    request: Request,
    table: Annotated[str, Path(max_length=63)],
    parts: Parts,
    data: DataParts,
    actor: CurrentActor,
    schema: SchemaName = "public",
    kind: Annotated[ExportFormat, Query(alias="format")] = "csv",
    columns: Annotated[
        str, Query(max_length=10_000, description="Names, comma-separated. Default: all.")
    ] = "",
    as_caller: Annotated[bool, Query(description="Only rows that your policies show you.")] = False,
    filter_column: Annotated[str | None, Query(max_length=63)] = None,
    filter_value: Annotated[
        str, Query(max_length=1000, description="Part of the value, in any case.")
    ] = "",
) -> StreamingResponse:
    """Copy a table into CSV with a header line, or NDJSON; compressed where gzip is accepted.

    Every other parameter is a filter on a column, as for the grid: `amount=gt.10`.
    """
    async with parts.database.unit_of_work() as session:
        found = await queries.get_table(session, schema, table)
        known = {r["name"]: r["type"] for r in await queries.list_columns(session, found)}
    filters = [pair for pair in request.query_params.multi_items() if pair[0] not in OURS]
    if filter_column is not None:
        filters.append(contains(filter_column, filter_value, known))
    gzip = "gzip" in request.headers.get("accept-encoding", "")
    export = Export(
        table=found,
        columns=_chosen(columns, list(known)),
        kind=kind,
        gzip=gzip,
        actor=actor if as_caller else None,
        milliseconds=int(parts.settings.data.import_timeout.total_seconds() * 1000),
        where=await _where(data, found, filters, known) if filters else None,
    )
    connect = data.rows.connector(actor.role) if as_caller else data.developer.connector("export")
    running = await RunningExport.start(data.exports, connect, export)
    headers = {"Content-Disposition": _attachment(found.name, kind), "Vary": "Accept-Encoding"}
    if gzip:
        headers["Content-Encoding"] = "gzip"
    return Exported(running, media_type=EXPORT_TYPES[kind], headers=headers)


class Exported(StreamingResponse):
    """Ends the copy with the response, however that ends."""

    def __init__(self, running: RunningExport, **options: Any) -> None:
        super().__init__(running.pieces(), **options)
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._running.close()


def _chosen(columns: str, known: list[str]) -> list[str]:
    """The columns asked for, in that order."""
    asked = (fields(columns) or [columns]) if columns else known
    for name in asked:
        if name not in known:
            raise ColumnNotFound(name)
    return asked


async def _where(
    data: Data, table: Table, filters: list[tuple[str, str]], types: dict[str, str]
) -> Where:
    if table.schema not in data.rows.schemas:
        raise SchemaNotServed(data.rows.schemas)
    return plan_where(await data.rows.catalog(), table, filters, types)


def _attachment(name: str, kind: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(f'{name}.{kind}', safe='')}"
