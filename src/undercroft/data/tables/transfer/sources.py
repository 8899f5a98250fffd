"""Files as what COPY takes: the names of the columns first, then the content, in pieces."""

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from undercroft.data.csv_text import fields
from undercroft.data.json_text import dumps, loads
from undercroft.data.tables.errors import ImportRefused
from undercroft.data.tables.transfer.lines import Lines

Format = Literal["csv", "ndjson"]
LONGEST_LINE = 10_000_000
BATCH_BYTES = 1 << 18
LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")
BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Counted:
    """A body on its way through, and how much of it has passed."""

    chunks: AsyncIterator[bytes]
    size: int = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self.chunks:
            self.size += len(chunk)
            yield chunk

    async def drain(self) -> None:
        """Let the rest pass."""
        async for _ in self:
            pass


async def read_csv(
    body: AsyncIterable[bytes], known: Mapping[str, str], renamed: Mapping[str, str], lines: Lines
) -> AsyncIterator[Any]:
    """Yield the column names of the header, then the file as it is, header included."""
    chunks = aiter(body)
    head = b""
    async for chunk in chunks:
        head += chunk
        if LINE_END.search(head) or len(head) > LONGEST_LINE:
            break
    head = head.removeprefix(BOM)
    columns = _columns_for(_header(head), known, renamed)
    yield columns
    lines.end_by(LINE_END.search(head))
    # To a single column a blank line is a row; to others no file's end is worth a refusal.
    source = _chained(head, chunks)
    async for chunk in source if len(columns) == 1 else _without_blank_end(source):
        lines.count(chunk)
        yield chunk


def _header(head: bytes) -> list[str]:
    try:
        line = re.split(rb"[\r\n]", head, maxsplit=1)[0].decode()
    except UnicodeDecodeError as error:
        raise ImportRefused(1, "The header is not UTF-8.") from error
    if line.count('"') % 2:
        raise ImportRefused(1, "A quote is not closed on the line of the header.")
    return fields(line)


async def _chained(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk


async def _without_blank_end(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = b""
    async for chunk in chunks:
        content = held + chunk
        told = content.rstrip(b"\r\n")
        held = content[len(told) :]
        if len(held) > LONGEST_LINE:
            raise ImportRefused(1, "There is nothing but blank lines.")
        if told:
            yield told
    yield held[: 2 if held.startswith(b"\r\n") else 1]


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


async def read_ndjson(
    body: AsyncIterable[bytes], known: Mapping[str, str], renamed: Mapping[str, str], lines: Lines
) -> AsyncIterator[Any]:
    """Yield the column names of the first object, then COPY's text format for every object."""
    types: dict[str, str] | None = None
    pending = bytearray()
    async for number, line in _lines(body):
        if not line.strip():
            lines.skip()
            continue
        row = _object(line, number)
        if types is None:
            columns = _columns_for(list(row), known, renamed)
            types = {name: known[column] for name, column in zip(row, columns, strict=True)}
            yield columns
        pending += _text_row(row, types, number)
        lines.rows += 1
        if len(pending) > BATCH_BYTES:
            yield bytes(pending)
            pending.clear()
    if types is None:
        raise ImportRefused(1, "There is nothing to import.")
    yield bytes(pending)


async def _lines(body: AsyncIterable[bytes]) -> AsyncIterator[tuple[int, bytes]]:
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
