"""Files into tables by COPY: streamed, all or nothing, the broken line named.

The table's owner copies, so row security does not apply: importing needs its own permission.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import asyncpg

from undercroft.data.csv_text import fields
from undercroft.data.developer import Developer
from undercroft.data.json_text import dumps, loads
from undercroft.data.tables.ddl import refusal
from undercroft.data.tables.errors import ImportRefused, StatementRefused
from undercroft.data.tables.queries import Table
from undercroft.data.tables.transfer.upserts import Upsert, move, stand_beside
from undercroft.foundation.problems import Problem
from undercroft.foundation.settings import DataSettings

Format = Literal["csv", "ndjson"]
LONGEST_LINE = 10_000_000
BATCH_BYTES = 1 << 18
COPY_LINE = re.compile(r"COPY .*?, line (\d+)(?:, column (\S+?)(?::|$))?")


class Moved(NamedTuple):
    """How many rows of a file are in the table now, and how many were left as they were."""

    rows: int
    skipped: int


@dataclass(slots=True)
class Counted:
    """A body on its way through, and how much of it has passed."""

    chunks: AsyncIterator[bytes]
    size: int = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self.chunks:
            self.size += len(chunk)
            yield chunk


async def import_rows(
    developer: Developer,
    settings: DataSettings,
    table: Table,
    known: Mapping[str, str],
    body: Counted,
    *,
    kind: Format,
    null: str,
    renamed: Mapping[str, str],
    upsert: Upsert | None = None,
) -> Moved:
    """Copy `body` into `table` in one transaction.

    `known` are the types of its columns, `null` the text that stands for NULL in CSV, `renamed` the
    columns for names that the file has otherwise, `upsert` what happens to rows that are there.
    Raises `ImportRefused`, or another `Problem` for what no line tells; nothing is kept then.
    """
    source = (_csv if kind == "csv" else _ndjson)(body, known, renamed)
    columns = await anext(source)
    if upsert and (missing := next((name for name in upsert.keys if name not in columns), None)):
        raise ImportRefused(1, f"The file has no column '{missing}'.", missing)
    milliseconds = str(int(settings.import_timeout.total_seconds() * 1000))
    # As the developer, since the table's triggers and defaults are customers' code.
    async with developer.session("import", statement_timeout=milliseconds) as connection:
        try:
            async with connection.transaction():
                copy = partial(_copy, connection, columns, source, kind=kind, null=null)
                if upsert is None:
                    moved = Moved(await copy(table), 0)
                else:
                    beside = await stand_beside(connection, table, columns)
                    read = await copy(beside)
                    written = await move(connection, beside, table, columns, upsert)
                    moved = Moved(written, read - written)
        except asyncpg.PostgresError as error:
            if problem := _refusal(error):
                raise problem from error
            raise
        # Without statistics the first reads of a freshly filled table are planned blindly.
        await connection.execute(f"ANALYZE {table.quoted}")
    return moved


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


def _refusal(error: asyncpg.PostgresError) -> Problem | None:
    problem = refusal(error)
    found = COPY_LINE.search(getattr(error, "context", None) or "")
    if found and isinstance(problem, StatementRefused):
        return ImportRefused(int(found[1]), str(error.args[0]), found[2])
    return problem


async def _csv(
    body: Counted, known: Mapping[str, str], renamed: Mapping[str, str]
) -> AsyncIterator[Any]:
    """Yield the column names of the header, then the file as it is, header included."""
    chunks = aiter(body)
    head = b""
    async for chunk in chunks:
        head += chunk
        if b"\n" in head or len(head) > LONGEST_LINE:
            break
    try:
        line = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode()
    except UnicodeDecodeError as error:
        raise ImportRefused(1, "The header is not UTF-8.") from error
    yield _columns_for(fields(line), known, renamed)
    yield head.removeprefix(b"\xef\xbb\xbf")
    async for chunk in chunks:
        yield chunk


def _columns_for(
    names: Sequence[str], known: Mapping[str, str], renamed: Mapping[str, str]
) -> list[str]:
    """The table's columns for the names in the file."""
    if not names:
        raise ImportRefused(1, "The first line must name the columns.")
    if missing := next((name for name in renamed if name not in names), None):
        raise ImportRefused(1, f"The file has no column '{missing}'.", missing)
    columns = [renamed.get(name, name) for name in names]
    for name in columns:
        if name not in known:
            raise ImportRefused(1, f"The table has no column '{name}'.", name)
    if len(set(columns)) < len(columns):
        raise ImportRefused(1, "A column is named twice.")
    return columns


async def _ndjson(
    body: Counted, known: Mapping[str, str], renamed: Mapping[str, str]
) -> AsyncIterator[Any]:
    """Yield the column names of the first object, then COPY's text format for every object."""
    types: dict[str, str] | None = None
    pending = bytearray()
    async for number, line in _lines(body):
        if not line.strip():
            continue
        row = _object(line, number)
        if types is None:
            columns = _columns_for(list(row), known, renamed)
            types = {name: known[column] for name, column in zip(row, columns, strict=True)}
            yield columns
        pending += _text_row(row, types, number)
        if len(pending) > BATCH_BYTES:
            yield bytes(pending)
            pending.clear()
    if types is None:
        raise ImportRefused(1, "There is nothing to import.")
    yield bytes(pending)


async def _lines(body: Counted) -> AsyncIterator[tuple[int, bytes]]:
    number, rest = 0, b""
    async for chunk in body:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            yield number, line
        if len(rest) > LONGEST_LINE:
            raise ImportRefused(number + 1, "The line is too long.")
    if rest:
        yield number + 1, rest


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = loads(line)
    except (ValueError, RecursionError) as error:
        raise ImportRefused(number, "This is not JSON.") from error
    if not isinstance(row, dict):
        raise ImportRefused(number, "This is not a JSON object.")
    return row


ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _text_row(row: dict[str, Any], types: Mapping[str, str], number: int) -> bytes:
    if extra := next((name for name in row if name not in types), None):
        raise ImportRefused(number, f"The first line did not name '{extra}'.", extra)
    try:
        cells = [_cell(row.get(name), kind) for name, kind in types.items()]
        return "\t".join(cells).encode() + b"\n"
    except (TypeError, UnicodeEncodeError, RecursionError) as error:
        raise ImportRefused(number, "A value is not text, or nested too deeply.") from error


def _cell(value: Any, kind: str) -> str:
    """One value in COPY's text format."""
    if value is None:
        return "\\N"
    if kind in ("json", "jsonb"):
        return dumps(value).decode().translate(ESCAPES)
    if isinstance(value, list) and kind.endswith("[]"):
        return _array(value).translate(ESCAPES)
    return _plain(value).translate(ESCAPES)


def _plain(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "t" if value else "f"
    return dumps(value).decode()


def _array(items: list[Any]) -> str:
    return "{" + ",".join(_element(item) for item in items) + "}"


def _element(item: Any) -> str:
    match item:
        case None:
            return "NULL"
        case list():
            return _array(item)
    return '"' + _plain(item).replace("\\", "\\\\").replace('"', '\\"') + '"'
