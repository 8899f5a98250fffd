"""Reads `pgoutput`, the protocol in which Postgres describes committed changes (version 1).

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
LONGEST_COLUMN_LIST = 1700  # Postgres allows 1,600 columns


class Unreadable(ValueError):  # noqa: N818 - says what the bytes are
    """Bytes that are no message of this protocol."""


class Unchanged:
    """Stands for a large value that an update did not touch, so that Postgres does not send it."""


UNCHANGED = Unchanged()
Value: TypeAlias = str | Unchanged | None
Row: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """Of a transaction that has committed already, at `lsn`."""

    lsn: int
    committed_at: datetime
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    lsn: int
    end_lsn: int
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type_oid: int
    in_key: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as it was when the changes that follow were made.

    `identity` is what Postgres logs of old rows: "d" the primary key, "f" everything, "i" an
    index, "n" nothing.
    """

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    relation: int
    new: Row


@dataclass(frozen=True, slots=True)
class Update:
    """`old` is the whole row or, with `old_is_key`, its key columns; None: the key is the same."""

    relation: int
    new: Row
    old: Row | None
    old_is_key: bool


@dataclass(frozen=True, slots=True)
class Delete:
    relation: int
    old: Row
    old_is_key: bool


@dataclass(frozen=True, slots=True)
class Truncate:
    relations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """A message without news for us: types, origins, logical messages."""

    kind: str


Message: TypeAlias = Begin | Commit | Relation | Insert | Update | Delete | Truncate | Other


def read_message(data: bytes) -> Message:
    """One message. Raises `Unreadable`."""
    try:
        return _Reader(data).message()
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise Unreadable(f"Not a pgoutput message: {data[:40]!r}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def message(self) -> Message:  # noqa: PLR0911 - one for each kind
        kind = self._char()
        match kind:
            case "B":
                lsn, stamp, xid = self._unpack(">QqI")
                return Begin(lsn, _time(stamp), xid)
            case "C":
                _flags, lsn, end, stamp = self._unpack(">BQQq")
                return Commit(lsn, end, _time(stamp))
            case "R":
                return self._relation()
            case "I":
                relation = self._int()
                self._expect("N")
                return Insert(relation, self._row())
            case "U":
                return self._update()
            case "D":
                relation, mark = self._int(), self._mark()
                return Delete(relation, self._row(), mark == "K")
            case "T":
                count, _options = self._unpack(">IB")
                return Truncate(self._unpack(f">{_bounded(count)}I"))
            case "Y" | "O" | "M":
                return Other(kind)
        raise Unreadable(kind)

    def _relation(self) -> Relation:
        oid, schema, name = self._int(), self._text() or "pg_catalog", self._text()
        identity = self._char()
        (count,) = self._unpack(">H")
        return Relation(
            oid, schema, name, identity, tuple(self._column() for _ in range(_bounded(count)))
        )

    def _column(self) -> Column:
        (flags,) = self._unpack(">B")
        name = self._text()
        type_oid, _modifier = self._unpack(">Ii")
        return Column(name, type_oid, bool(flags & 1))

    def _update(self) -> Update:
        relation, mark = self._int(), self._char()
        old: Row | None = None
        if mark in "KO":
            old = self._row()
            self._expect("N")
        elif mark != "N":
            raise Unreadable(mark)
        return Update(relation, self._row(), old, mark == "K")

    def _mark(self) -> Literal["K", "O"]:
        mark = self._char()
        if mark == "K":
            return "K"
        if mark == "O":
            return "O"
        raise Unreadable(mark)

    def _row(self) -> Row:
        (count,) = self._unpack(">H")
        return tuple(self._value() for _ in range(_bounded(count)))

    def _value(self) -> Value:
        match self._char():
            case "n":
                return None
            case "u":
                return UNCHANGED
            case "t":
                length = self._int()
                return self._take(length).decode()
        raise Unreadable("value")

    def _expect(self, mark: str) -> None:
        if self._char() != mark:
            raise Unreadable(mark)

    def _char(self) -> str:
        return chr(self._take(1)[0])

    def _int(self) -> int:
        (value,) = self._unpack(">I")
        return int(value)

    def _text(self) -> str:
        end = self._data.index(b"\0", self._at)
        found = self._data[self._at : end].decode()
        self._at = end + 1
        return found

    def _unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise Unreadable("cut short")
        taken = self._data[self._at : end]
        self._at = end
        return taken


def _bounded(count: int) -> int:
    if count > LONGEST_COLUMN_LIST * 100:
        raise Unreadable("endless list")
    return count


def _time(microseconds: int) -> datetime:
    return POSTGRES_EPOCH + timedelta(microseconds=microseconds)
