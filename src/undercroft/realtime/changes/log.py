"""The log of changes in Postgres: what sockets resume from and consumers read.

One row is one batch. Rows follow each other without a gap within an epoch, and only one may follow
another: a reader whose successor has begun is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.realtime.changes.change import Change, decode_batch, encode_batch
from undercroft.realtime.changes.cursor import Cursor

# Every process hears of every batch here, with the cursor of its end.
CHANNEL = "undercroft_changes"

APPEND = """
    WITH told AS (SELECT pg_notify($9, $10))
    INSERT INTO realtime.change_log
           (epoch, lsn, ordinal, previous_lsn, previous_ordinal, committed_at, size_bytes, batch)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8 FROM told
"""
# The newest batch of the newest epoch, or that epoch's beginning.
HEAD = """
    SELECT s.epoch, coalesce(l.lsn, 0) AS lsn, coalesce(l.ordinal, 0) AS ordinal
      FROM (SELECT max(epoch) AS epoch FROM realtime.sources) s
      LEFT JOIN LATERAL (
          SELECT lsn, ordinal FROM realtime.change_log WHERE epoch = s.epoch
           ORDER BY lsn DESC, ordinal DESC LIMIT 1) l ON true
     WHERE s.epoch IS NOT NULL
"""
AFTER = text("""
    SELECT batch, previous_lsn, previous_ordinal FROM realtime.change_log
     WHERE epoch = :epoch AND (lsn, ordinal) > (:lsn, :ordinal)
     ORDER BY lsn, ordinal LIMIT :limit
""")
FROM_TIME = text("""
    SELECT epoch, previous_lsn AS lsn, previous_ordinal AS ordinal FROM realtime.change_log
     WHERE epoch = :epoch AND committed_at >= :moment
     ORDER BY lsn, ordinal LIMIT 1
""")
OLDEST = text("""
    SELECT committed_at FROM realtime.change_log WHERE epoch = :epoch
     ORDER BY lsn, ordinal LIMIT 1
""")
# Beyond `keep` or `most_bytes` a batch goes unless a consumer still needs it; beyond the hard
# limit it goes all the same. The newest stays, for it says how far we are.
PRUNE = text("""
    WITH sized AS (
        SELECT epoch, lsn, ordinal, logged_at,
               sum(size_bytes) OVER (ORDER BY epoch DESC, lsn DESC, ordinal DESC) AS so_far,
               row_number() OVER (ORDER BY epoch DESC, lsn DESC, ordinal DESC) AS place
          FROM realtime.change_log),
    gone AS (
        SELECT epoch, lsn, ordinal FROM sized
         WHERE place > 1
           AND (so_far > :hard_bytes
                OR ((logged_at < now() - CAST(:keep AS interval) OR so_far > :most_bytes)
                    AND NOT EXISTS (
                        SELECT FROM realtime.consumers c
                         WHERE (c.epoch, c.lsn, c.ordinal)
                             < (sized.epoch, sized.lsn, sized.ordinal)))))
    DELETE FROM realtime.change_log l USING gone g
     WHERE (l.epoch, l.lsn, l.ordinal) = (g.epoch, g.lsn, g.ordinal)
""")


@dataclass(frozen=True, slots=True)
class Read:
    """Changes after a cursor. `missed`: some before them are not in the log any more."""

    changes: list[Change]
    missed: bool = False


async def append(
    connection: "asyncpg.Connection[Any]", previous: Cursor, changes: Sequence[Change]
) -> bytes:
    """Log a batch that follows `previous`, and return it encoded.

    Raises `asyncpg.UniqueViolationError` when another reader's follows it already.
    """
    batch = encode_batch(changes)
    end = changes[-1]
    place = end.cursor
    await connection.execute(
        APPEND,
        place.epoch,
        place.lsn,
        place.index,
        previous.lsn,
        previous.index,
        end.committed_at,
        len(batch),
        batch,
        CHANNEL,
        str(place),
    )
    return batch


async def find_head(session: AsyncSession) -> Cursor | None:
    """The end of the log; None before there ever was a slot."""
    row = (await session.execute(text(HEAD))).one_or_none()
    return Cursor(row.epoch, row.lsn, row.ordinal) if row else None


async def read_after(session: AsyncSession, cursor: Cursor, limit: int = 50) -> Read:
    """Up to `limit` batches after `cursor`.

    After a cursor of another epoch nothing can be said: that is `missed`, from the beginning.
    """
    head = await find_head(session)
    if head is None or head.epoch != cursor.epoch:
        return Read([], missed=True)
    place = {"epoch": cursor.epoch, "lsn": cursor.lsn, "ordinal": cursor.index, "limit": limit}
    rows = (await session.execute(AFTER, place)).all()
    if not rows:
        return Read([], missed=cursor > head)
    first = Cursor(cursor.epoch, rows[0].previous_lsn, rows[0].previous_ordinal)
    changes = [change for row in rows for change in decode_batch(row.batch)]
    return Read([c for c in changes if c.cursor > cursor], missed=first > cursor)


async def find_cursor_at(session: AsyncSession, moment: datetime) -> Cursor | None:
    """A cursor before everything committed at `moment` or later; None when that is not known."""
    head = await find_head(session)
    if head is None:
        return None
    oldest = await session.scalar(OLDEST, {"epoch": head.epoch})
    if oldest is not None and moment < oldest:
        return None
    row = (await session.execute(FROM_TIME, {"epoch": head.epoch, "moment": moment})).one_or_none()
    return Cursor(row.epoch, row.lsn, row.ordinal) if row else head
