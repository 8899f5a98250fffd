"""`/tables/{table}/import` and `/export`: HTTP in and out."""

import time
from typing import Annotated

from fastapi import Path, Query, Request
from starlette.requests import ClientDisconnect

from undercroft.data.parts import DataParts
from undercroft.data.tables import queries
from undercroft.data.tables.access import SchemaName
from undercroft.data.tables.errors import ImportRefused, ImportsBusy, TableNotFound
from undercroft.data.tables.transfer.imports import Counted, Format, import_rows
from undercroft.data.tables.transfer.schemas import Imported
from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.http import Parts, Router
from undercroft.foundation.problems import ClientGone, UnsupportedMediaType

PERMISSIONS = (Permission("tables:import", "Fill tables from files, past row security."),)
MEDIA_TYPES: dict[str, Format] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
}

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
    problems=(TableNotFound, ImportRefused, ImportsBusy, UnsupportedMediaType),
)
async def import_table(
    request: Request,
    table: Annotated[str, Path(max_length=63)],
    parts: Parts,
    data: DataParts,
    schema: SchemaName = "public",
    null: Annotated[str, Query(max_length=20, description="Text for NULL in CSV.")] = "",
) -> Imported:
    """Fill a table from CSV with a header line, or from NDJSON. All rows or none."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = MEDIA_TYPES.get(media_type)
    if kind is None:
        raise UnsupportedMediaType("text/csv or application/x-ndjson")
    if data.imports.locked():
        raise ImportsBusy
    # The copy takes hours if it must: no transaction of the request stays open meanwhile.
    async with parts.database.unit_of_work() as session:
        found = await queries.get_table(session, schema, table)
        known = [row["name"] for row in await queries.list_columns(session, found)]
    started = time.perf_counter()
    body = Counted(request.stream())
    async with data.imports:
        try:
            rows = await import_rows(
                parts.database, parts.settings.data, found, known, body, kind=kind, null=null
            )
        except ClientDisconnect as error:
            raise ClientGone from error
    seconds = round(time.perf_counter() - started, 3)
    return Imported(table=found.name, rows=rows, bytes=body.size, seconds=seconds)
