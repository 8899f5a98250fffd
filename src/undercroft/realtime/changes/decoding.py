"""From the messages of a replication stream to changes, batch by batch."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from undercroft.realtime.changes.change import Change, ChangeType, TableColumn, TableShape
from undercroft.realtime.changes.cursor import Cursor
from undercroft.realtime.changes.pgoutput import (
    Begin,
    Commit,
    Delete,
    Insert,
    Message,
    Relation,
    Row,
    Truncate,
    Unchanged,
    Update,
)
from undercroft.realtime.changes.values import ValueType, as_json_text, ask_for_json, read_types

PRIMARY_KEY = """
    SELECT array_agg(a.attname::text) FROM pg_index i
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
     WHERE i.indrelid = $1 AND i.indisprimary
"""

Values = list[str | None]


@dataclass(frozen=True, slots=True)
class Known:
    """A relation, and what turning its rows into changes takes."""

    shape: TableShape
    types: tuple[ValueType, ...]
    logged_key: frozenset[int]  # what a key-only old row has


@dataclass(slots=True)
class Draft:
    cursor: Cursor
    type: ChangeType
    shape: TableShape
    committed_at: datetime
    new: Values | None
    old: Values | None

    def finished(self) -> Change:
        new = None if self.new is None else tuple(self.new)
        old = None if self.old is None else tuple(self.old)
        return Change(self.cursor, self.type, self.shape, self.committed_at, new, old)


@dataclass(slots=True)
class Decoder:
    """Collects drafts; `finish` gives them out as changes.

    What comes at or before `position` was logged by an earlier reader and is left out.
    `confirmed` is the end of the last transaction that has been decoded whole.
    """

    connection: "asyncpg.Connection[Any]"
    position: Cursor
    confirmed: int = 0
    drafts: list[Draft] = field(default_factory=list)
    weight: int = 0
    in_transaction: bool = False
    _relations: dict[int, Known] = field(default_factory=dict)
    _begin: Begin | None = None
    _index: int = 0
    _asked: dict[str, list[tuple[Values, int, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    async def take(self, message: Message) -> None:
        match message:
            case Begin():
                self._begin, self._index, self.in_transaction = message, 0, True
            case Commit():
                self.confirmed, self.in_transaction = message.end_lsn, False
            case Relation():
                self._relations[message.oid] = await self._learn(message)
            case Insert():
                known = self._relations[message.relation]
                self._draft(ChangeType.INSERT, known, new=self._row(known, message.new))
            case Update():
                self._update(message)
            case Delete():
                known = self._relations[message.relation]
                old = self._old(known, message.old, message.old_is_key)
                self._draft(ChangeType.DELETE, known, old=old)
            case Truncate():
                for oid in message.relations:
                    self._draft(ChangeType.TRUNCATE, self._relations[oid])

    async def finish(self) -> list[Change]:
        """Everything drafted since the last call."""
        for type_name, places in self._asked.items():
            answers = await ask_for_json(self.connection, type_name, [p[2] for p in places])
            for (row, column, _), answer in zip(places, answers, strict=True):
                row[column] = answer
        changes = [draft.finished() for draft in self.drafts]
        self._asked.clear()
        self.drafts, self.weight = [], 0
        return changes

    def _update(self, message: Update) -> None:
        known = self._relations[message.relation]
        new = message.new
        if message.old is None:
            # The key did not change, and nothing else is known of the old row.
            old = [
                value if n in known.shape.key else None
                for n, value in enumerate(self._row(known, new))
            ]
        else:
            old = self._old(known, message.old, message.old_is_key)
            if not message.old_is_key:
                new = tuple(
                    before if isinstance(value, Unchanged) else value
                    for value, before in zip(new, message.old, strict=True)
                )
        self._draft(ChangeType.UPDATE, known, new=self._row(known, new), old=old)

    def _old(self, known: Known, row: Row, is_key: bool) -> Values:
        values = self._row(known, row)
        if is_key:
            return [value if n in known.logged_key else None for n, value in enumerate(values)]
        return values

    def _row(self, known: Known, row: Row) -> Values:
        values: Values = []
        for column, value in enumerate(row):
            kind = known.types[column]
            if isinstance(value, Unchanged):
                values.append(None)
            elif kind.asks and value is not None:
                values.append(None)
                self._asked[kind.name].append((values, column, value))
                self.weight += len(value)
            else:
                values.append(as_json_text(value, kind.base))
                self.weight += len(value or "")
        return values

    def _draft(
        self,
        kind: ChangeType,
        known: Known,
        *,
        new: Values | None = None,
        old: Values | None = None,
    ) -> None:
        assert self._begin is not None
        self._index += 1
        cursor = Cursor(self.position.epoch, self._begin.lsn, self._index)
        if cursor <= self.position:
            return
        self.weight += 64
        self.drafts.append(Draft(cursor, kind, known.shape, self._begin.committed_at, new, old))

    async def _learn(self, relation: Relation) -> Known:
        oids = [column.type_oid for column in relation.columns]
        types = await read_types(self.connection, oids)
        key = await self.connection.fetchval(PRIMARY_KEY, relation.oid)
        # Without a primary key the whole row is what tells it from others.
        names = set(key or [column.name for column in relation.columns])
        columns = tuple(
            TableColumn(column.name, types[column.type_oid].label, column.name in names)
            for column in relation.columns
        )
        shape = TableShape(relation.schema, relation.name, columns, relation.identity == "f")
        logged = frozenset(n for n, column in enumerate(relation.columns) if column.in_key)
        return Known(shape, tuple(types[oid] for oid in oids), logged)
