"""A change of a row, and batches of them as they lie in the log and travel between processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import orjson

from undercroft.foundation.db.json_texts import read_json
from undercroft.realtime.changes.cursor import Cursor


class ChangeType(StrEnum):
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    TRUNCATE = "TRUNCATE"


@dataclass(frozen=True, slots=True)
class TableColumn:
    name: str
    type: str
    in_key: bool


@dataclass(frozen=True)
class TableShape:
    """A table as it was when a change was made. `whole_old_rows`: REPLICA IDENTITY FULL."""

    schema: str
    table: str
    columns: tuple[TableColumn, ...]
    whole_old_rows: bool

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def encoded_names(self) -> tuple[bytes, ...]:
        """Each name as a JSON key with its colon."""
        return tuple(orjson.dumps(column.name) + b":" for column in self.columns)

    @cached_property
    def all(self) -> frozenset[int]:
        return frozenset(range(len(self.columns)))

    @cached_property
    def key(self) -> frozenset[int]:
        """Positions of the columns that identify a row."""
        return frozenset(n for n, column in enumerate(self.columns) if column.in_key)


# JSON text per column; None where Postgres did not tell the value. Numbers keep their digits.
Record: TypeAlias = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One row changed, in a transaction that has committed."""

    cursor: Cursor
    type: ChangeType
    shape: TableShape
    committed_at: datetime
    new: Record | None = None
    old: Record | None = None

    @property
    def schema(self) -> str:
        return self.shape.schema

    @property
    def table(self) -> str:
        return self.shape.table

    @property
    def record(self) -> dict[str, Any] | None:
        """The row after the change; large untouched values may be missing."""
        return None if self.new is None else read_json(as_json(self.shape, self.new))

    @property
    def old_record(self) -> dict[str, Any] | None:
        """What is known of the row before: everything, or only its key."""
        return None if self.old is None else read_json(as_json(self.shape, self.old))


def as_json(shape: TableShape, record: Record, columns: frozenset[int] | None = None) -> bytes:
    """A JSON object of the known values, of these columns only if given."""
    wanted = shape.all if columns is None else columns
    parts = [
        name + value.encode()
        for n, (name, value) in enumerate(zip(shape.encoded_names, record, strict=True))
        if value is not None and n in wanted
    ]
    return b"{" + b",".join(parts) + b"}"


def encode_batch(changes: Sequence[Change]) -> bytes:
    """The batch as JSON; shapes are written once."""
    shapes: dict[int, int] = {}
    tables: list[Any] = []
    entries: list[Any] = []
    for change in changes:
        number = shapes.get(id(change.shape))
        if number is None:
            number = shapes[id(change.shape)] = len(tables)
            tables.append(_encode_shape(change.shape))
        place = change.cursor
        head = (place.lsn, place.index, change.type.value, number, change.committed_at)
        entries.append((*head, change.new, change.old))
    epoch = changes[0].cursor.epoch
    return orjson.dumps({"epoch": epoch, "tables": tables, "changes": entries})


def decode_batch(data: bytes) -> list[Change]:
    content: Mapping[str, Any] = orjson.loads(data)
    epoch = content["epoch"]
    shapes = [_decode_shape(table) for table in content["tables"]]
    return [
        Change(
            Cursor(epoch, lsn, index),
            ChangeType(kind),
            shapes[number],
            datetime.fromisoformat(committed_at),
            None if new is None else tuple(new),
            None if old is None else tuple(old),
        )
        for lsn, index, kind, number, committed_at, new, old in content["changes"]
    ]


def _encode_shape(shape: TableShape) -> Any:
    columns = [(column.name, column.type, column.in_key) for column in shape.columns]
    return (shape.schema, shape.table, columns, shape.whole_old_rows)


def _decode_shape(parts: Any) -> TableShape:
    schema, table, columns, whole = parts
    return TableShape(schema, table, tuple(TableColumn(*column) for column in columns), whole)
