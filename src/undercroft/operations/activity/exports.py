"""The log as a file, streamed: a page at a time, each in a transaction of its own."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from undercroft.foundation.db import Database
from undercroft.operations.activity.metrics import EXPORTED
from undercroft.operations.activity.models import Entry
from undercroft.operations.activity.queries import ActivityFilter, next_entries
from undercroft.operations.activity.schemas import ActivityRead

PAGE = 1000
COLUMNS = tuple(ActivityRead.model_fields)
# A spreadsheet takes a cell that begins so for a formula; some take the full-width signs, too.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


async def export_entries(
    database: Database, wanted: ActivityFilter, kind: str, first: Sequence[Entry]
) -> AsyncIterator[bytes]:
    """CSV (RFC 4180) with a header line, or a JSON object per line; oldest first.

    `first` is the first page. No transaction stays open while the reader is slow.
    """
    if kind == "csv":
        yield _csv([COLUMNS])
    entries = first
    while entries:
        EXPORTED.inc(len(entries))
        yield _lines(entries, kind)
        async with database.unit_of_work() as session:
            entries = await next_entries(session, wanted, entries[-1], PAGE)


def _lines(entries: Sequence[Entry], kind: str) -> bytes:
    rows = [ActivityRead.model_validate(entry).model_dump(mode="json") for entry in entries]
    if kind == "ndjson":
        return b"".join(orjson.dumps(row) + b"\n" for row in rows)
    return _csv([[_cell(row[name]) for name in COLUMNS] for row in rows])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
