"""From the log of table changes to deliveries, in commit order and none twice.

It runs as a resident of every job worker. They take turns by the consumer's row, and its place in
the log moves in the transaction that writes the deliveries.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import Database, Listener
from undercroft.foundation.db.failures import told
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import enqueue
from undercroft.foundation.settings import WebhookSettings
from undercroft.realtime.changes import Arrivals, Change, take_changes
from undercroft.realtime.changes.change import Record, as_json
from undercroft.webhooks.changes import CONSUMER, EVENT_TYPES, MISSED, TableChanges
from undercroft.webhooks.jobs import deliver

log = structlog.get_logger(__name__)

LOOK_AGAIN = 5.0
# Of the log, in one transaction.
BATCHES = 5

HOOKS = text("""
    SELECT id, changes, is_enabled, created_at FROM webhooks.webhooks WHERE changes <> '[]'
""")
INSERT_EVENT = text("""
    INSERT INTO webhooks.events (id, type, data, created_at)
    VALUES (:id, :type, CAST(:data AS json), :created_at)
""")
INSERT_DELIVERY = text("""
    INSERT INTO webhooks.deliveries
           (id, webhook_id, event_id, event_type, state, tries_left, next_attempt_at, finished_at)
    VALUES (:id, :webhook_id, :event_id, :type,
            CASE WHEN CAST(:enabled AS boolean) THEN 'pending' ELSE 'skipped' END, :tries,
            CASE WHEN CAST(:enabled AS boolean) THEN now() END,
            CASE WHEN CAST(:enabled AS boolean) THEN NULL ELSE now() END)
""")


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that asks for changes of tables."""

    id: UUID
    asked: tuple[TableChanges, ...]
    is_enabled: bool
    created_at: datetime

    def wants(self, change: Change) -> bool:
        if change.committed_at < self.created_at:
            return False
        return any(each.wants(change) for each in self.asked)


class Writing:
    """The rows that one transaction writes."""

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self.events: list[dict[str, Any]] = []
        self.deliveries: list[dict[str, Any]] = []

    def add(self, kind: str, data: bytes, at: datetime, hooks: Sequence[Hook]) -> None:
        event_id = new_id()
        event = {"id": event_id, "type": kind, "data": data.decode(), "created_at": at}
        self.events.append(event)
        self.deliveries += [
            {
                "id": new_id(),
                "webhook_id": hook.id,
                "event_id": event_id,
                "type": kind,
                "enabled": hook.is_enabled,
                "tries": self._tries,
            }
            for hook in hooks
        ]

    async def write(self, session: AsyncSession) -> None:
        if self.events:
            await session.execute(INSERT_EVENT, self.events)
            await session.execute(INSERT_DELIVERY, self.deliveries)
            await enqueue(session, deliver)


class ChangeFeed:
    def __init__(self, database: Database, listener: Listener, settings: WebhookSettings) -> None:
        self._database = database
        self._settings = settings
        self._arrivals = Arrivals(listener)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; a failure of Postgres costs a pause."""
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            try:
                more = await self._take()
            except Exception as error:
                log.exception("webhook_feed_failed", **told(error))
                more = False
            if not more:
                waiting = asyncio.create_task(self._arrivals.wait(LOOK_AGAIN))
                await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        await stopping

    async def _take(self) -> bool:
        """Whether there may be more."""
        async with self._database.unit_of_work() as session:
            hooks = await _hooks(session)
            if not hooks:
                return False
            taken = await take_changes(session, CONSUMER, batches=BATCHES)
            writing = Writing(self._settings.max_attempts)
            if taken.missed:
                writing.add(MISSED, b"{}", utc_now(), hooks)
            for change in taken.changes:
                wanting = [hook for hook in hooks if hook.wants(change)]
                if wanting:
                    data = data_of(change, int(self._settings.max_payload_bytes))
                    kind = EVENT_TYPES[change.type]
                    writing.add(kind, data, change.committed_at, wanting)
            await writing.write(session)
        return bool(taken.changes)


def data_of(change: Change, max_bytes: int) -> bytes:
    """The `data` of a change; of a large row its key only, and `truncated` says so."""
    new, old = _row(change, change.new), _row(change, change.old)
    truncated = len(new) + len(old) > max_bytes
    if truncated:
        new, old = _row(change, change.new, key=True), _row(change, change.old, key=True)
    head = {
        "schema": change.schema,
        "table": change.table,
        "committed_at": change.committed_at,
        "truncated": truncated,
    }
    # Rows stay the text they are: read as numbers, long ones would lose digits.
    return orjson.dumps(head)[:-1] + b',"record":' + new + b',"old_record":' + old + b"}"


def _row(change: Change, record: Record | None, *, key: bool = False) -> bytes:
    if record is None:
        return b"null"
    return as_json(change.shape, record, change.shape.key if key else None)


async def _hooks(session: AsyncSession) -> list[Hook]:
    rows = await session.execute(HOOKS)
    return [Hook(row.id, _asked(row.changes), row.is_enabled, row.created_at) for row in rows]


def _asked(changes: Any) -> tuple[TableChanges, ...]:
    entries = orjson.loads(changes) if isinstance(changes, str) else changes
    return tuple(TableChanges.model_validate(entry) for entry in entries)
