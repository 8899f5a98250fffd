"""Durable readers of the log inside the platform, such as webhooks.

A consumer's place moves in the transaction that acts on the changes: both happen or neither.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.db import Listener
from undercroft.realtime.changes.change import Change
from undercroft.realtime.changes.cursor import Cursor
from undercroft.realtime.changes.log import CHANNEL, find_head, read_after

REGISTER = text("""
    INSERT INTO realtime.consumers (name, epoch, lsn, ordinal)
    VALUES (:name, :epoch, :lsn, :ordinal)
    ON CONFLICT (name) DO NOTHING
""")
LOCK = text("SELECT epoch, lsn, ordinal FROM realtime.consumers WHERE name = :name FOR UPDATE")
MOVE = text("""
    UPDATE realtime.consumers SET epoch = :epoch, lsn = :lsn, ordinal = :ordinal, moved_at = now()
     WHERE name = :name
""")
FORGET = text("DELETE FROM realtime.consumers WHERE name = :name")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one transaction takes. `missed`: changes were lost before these, say so onwards."""

    changes: list[Change]
    missed: bool = False


async def register_consumer(session: AsyncSession, name: str) -> None:
    """Begin to keep what `name` has not taken yet, from now on; again is harmless."""
    head = await find_head(session) or Cursor(0)
    await session.execute(
        REGISTER, {"name": name, "epoch": head.epoch, "lsn": head.lsn, "ordinal": head.index}
    )


async def forget_consumer(session: AsyncSession, name: str) -> None:
    await session.execute(FORGET, {"name": name})


async def take_changes(session: AsyncSession, name: str, *, batches: int = 20) -> Taken:
    """The next changes for a registered consumer; its place moves when `session` commits.

    Others who take for the same name wait for that. Empty when there is nothing new.
    """
    row = (await session.execute(LOCK, {"name": name})).one()
    cursor = Cursor(row.epoch, row.lsn, row.ordinal)
    head = await find_head(session)
    if head is None:
        return Taken([])
    # Registered before there was a slot: nothing can have been missed.
    missed = cursor.epoch not in {0, head.epoch}
    start = cursor if cursor.epoch == head.epoch else Cursor(head.epoch)
    read = await read_after(session, start, batches)
    missed = missed or (read.missed and cursor.epoch != 0)
    end = read.changes[-1].cursor if read.changes else start
    if end != cursor:
        place = {"name": name, "epoch": end.epoch, "lsn": end.lsn, "ordinal": end.index}
        await session.execute(MOVE, place)
    return Taken(read.changes, missed)


class Arrivals:
    """Wakes a consumer when there is something to take."""

    def __init__(self, listener: Listener) -> None:
        self._new = asyncio.Event()
        listener.on(CHANNEL, lambda _payload: self._new.set())
        listener.when_deaf(self._new.set)

    async def wait(self, seconds: float) -> None:
        """Return when changes were logged since the last call, or after so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._new.wait()
        self._new.clear()
