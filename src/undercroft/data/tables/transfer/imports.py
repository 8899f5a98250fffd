"""Files into tables by COPY: streamed, all or nothing, the broken line named.

The table's owner copies, so row security does not apply: importing needs its own permission.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import asyncpg

from undercroft.data.developer import Developer
from undercroft.data.tables.ddl import refusal
from undercroft.data.tables.errors import ImportRefused, StatementRefused
from undercroft.data.tables.queries import Table
from undercroft.data.tables.transfer.lines import Lines
from undercroft.data.tables.transfer.sources import Format, read_csv, read_ndjson
from undercroft.data.tables.transfer.upserts import (
    RowRefused,
    Upsert,
    move,
    stand_beside,
    told,
)
from undercroft.foundation.problems import Problem
from undercroft.foundation.settings import DataSettings

COPY_LINE = re.compile(r"COPY .*?, line (\d+)(?:, column (\S+?)(?::|$))?")


class Moved(NamedTuple):
    """How many rows of a file are in the table now, and how many were left as they were."""

    rows: int
    skipped: int


class Once(Protocol):
    """Has an import done once, however often it is asked for. Called in its transaction."""

    async def is_done(self, connection: "asyncpg.Connection[Any]") -> bool: ...

    async def done(
        self, connection: "asyncpg.Connection[Any]", table: str, moved: Moved
    ) -> None: ...


async def import_rows(
    developer: Developer,
    settings: DataSettings,
    table: Table,
    known: Mapping[str, str],
    body: AsyncIterable[bytes],
    *,
    kind: Format,
    null: str,
    renamed: Mapping[str, str],
    upsert: Upsert | None,
    once: Once,
) -> bool:
    """Copy `body` into `table` in one transaction; False where `once` says that it was.

    `known` are the types of its columns, `null` the text that stands for NULL in CSV, `renamed` the
    columns for names that the file has otherwise, `upsert` what happens to rows that are there.
    Raises `ImportRefused`, or another `Problem` for what no line tells; nothing is kept then.
    """
    lines = Lines()
    source = (read_csv if kind == "csv" else read_ndjson)(body, known, renamed, lines)
    columns = await anext(source)
    if upsert and (missing := next((name for name in upsert.keys if name not in columns), None)):
        raise ImportRefused(1, f"The file has no column '{missing}'.", missing)
    milliseconds = str(int(settings.import_timeout.total_seconds() * 1000))
    # As the developer, since the table's triggers and defaults are customers' code.
    async with developer.session("import", statement_timeout=milliseconds) as connection:
        try:
            async with connection.transaction():
                if await once.is_done(connection):
                    return False
                copy = partial(_copy, connection, columns, source, kind=kind, null=null)
                if upsert is None:
                    moved = Moved(await copy(table), 0)
                else:
                    beside = await stand_beside(connection, table, columns)
                    read = await copy(beside)
                    written = await move(connection, beside, table, columns, upsert)
                    moved = Moved(written, read - written)
                await once.done(connection, table.name, moved)
        except RowRefused as refused:
            raise _of_row(refused, lines.of(refused.row)) from refused
        except asyncpg.PostgresError as error:
            if problem := _refusal(error, lines if kind == "ndjson" else None):
                raise problem from error
            raise
        # Without statistics the first reads of a freshly filled table are planned blindly.
        await connection.execute(f"ANALYZE {table.quoted}")
    return True


async def _copy(
    connection: "asyncpg.Connection[Any]",
    columns: Sequence[str],
    source: AsyncIterator[Any],
    table: Table,
    *,
    kind: Format,
    null: str,
) -> int:
    options: dict[str, Any] = {"format": "text"}
    if kind == "csv":
        options = {"format": "csv", "header": True, "null": null}
    status = await connection.copy_to_table(
        table.name,
        schema_name=table.schema,
        columns=list(columns),
        source=source,
        encoding="UTF8",
        **options,
    )
    return int(status.rpartition(" ")[2])


def _refusal(error: asyncpg.PostgresError, lines: Lines | None) -> Problem | None:
    """COPY counts the lines of a CSV as they are; those of NDJSON reach it without the blank."""
    problem = refusal(error)
    if not isinstance(problem, StatementRefused):
        return problem
    found = COPY_LINE.search(getattr(error, "context", None) or "")
    if found is None:
        return StatementRefused(error.sqlstate or "", told(error))
    line = int(found[1])
    return ImportRefused(lines.of(line) or line if lines else line, told(error), found[2])


def _of_row(refused: RowRefused, line: int | None) -> Problem:
    if line is None:
        return StatementRefused(refused.sqlstate, refused.reason)
    return ImportRefused(line, refused.reason)
