"""The record of every run: written before it starts and completed when it has ended.

It stands in transactions of its own, since a refusal rolls the request back, and a run whose
process dies leaves `running` behind, which a job turns into `lost`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import update

from undercroft.data.developer import Developer
from undercroft.data.sql.console import Outcome
from undercroft.data.sql.errors import ConsoleBusy
from undercroft.data.sql.events import SqlExecuted
from undercroft.data.sql.models import SqlRun
from undercroft.foundation.access import Actor
from undercroft.foundation.db import Database
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import publish
from undercroft.foundation.problems import Problem
from undercroft.foundation.settings import SqlSettings

LONGEST_KEPT = 20_000
LONGEST_TOLD = 1000
WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Console:
    """What a run needs of its process."""

    settings: SqlSettings
    database: Database
    developer: Developer
    turns: asyncio.Semaphore


@dataclass(slots=True)
class Record:
    """What becomes of a run."""

    result: str = "cancelled"
    sqlstate: str | None = None
    error: str | None = None
    outcome: Outcome = field(default_factory=Outcome)


def new_entry(query: str, actor: Actor, *, read_only: bool, dry_run: bool) -> SqlRun:
    return SqlRun(
        id=new_id(),
        user_id=actor.user_id,
        caller=actor.name,
        query=query[:LONGEST_KEPT],
        is_truncated=len(query) > LONGEST_KEPT,
        read_only=read_only,
        dry_run=dry_run,
        outcome="running",
    )


@asynccontextmanager
async def recorded(console: Console, entry: SqlRun) -> AsyncIterator[Record]:
    """Wait for a turn, then keep that `entry` runs and how it ends."""
    async with _turn(console.turns):
        async with console.database.unit_of_work() as session:
            session.add(entry)
        clock = asyncio.get_running_loop().time
        started, record = clock(), Record()
        try:
            yield record
            record.result = "succeeded"
        except Exception as error:
            record.result, record.error = "failed", str(error)[:LONGEST_TOLD].replace("\x00", "")
            if isinstance(error, Problem):
                record.sqlstate = error.members.get("sqlstate")
            raise
        finally:
            ended = _ended(console.database, entry, record, int((clock() - started) * 1000))
            # Also when the caller has gone: the record is not theirs to prevent.
            await asyncio.shield(asyncio.ensure_future(ended))


async def _ended(database: Database, entry: SqlRun, record: Record, milliseconds: int) -> None:
    results = record.outcome.results
    async with database.unit_of_work() as session:
        await session.execute(
            update(SqlRun)
            .where(SqlRun.id == entry.id)
            .values(
                outcome=record.result,
                sqlstate=record.sqlstate,
                error=record.error,
                statements=len(results) or None,
                row_count=sum(len(one.rows) for one in results) if results else None,
                milliseconds=milliseconds,
            )
        )
        publish(
            session,
            SqlExecuted(
                entry.id,
                entry.query[:LONGEST_TOLD],
                record.result,
                record.sqlstate,
                entry.read_only,
                entry.dry_run,
                milliseconds,
                by=entry.user_id,
            ),
        )


@asynccontextmanager
async def _turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await turns.acquire()
    except TimeoutError as error:
        raise ConsoleBusy from error
    try:
        yield
    finally:
        turns.release()
