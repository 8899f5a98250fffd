"""A migrated database with a queue in it, workers in this process, and patience."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.foundation.db import Database
from undercroft.foundation.jobs import JobContext, JobRegistry, Workplace, outbox
from undercroft.foundation.jobs.worker import work
from undercroft.foundation.settings import Settings, load_settings

PROMISED_WITHIN = 30  # seconds; a machine under load is slow, a broken promise is for ever

QUICK = {
    "first_retry": timedelta(milliseconds=1),
    "longest_retry": timedelta(milliseconds=2),
    "poll_interval": timedelta(milliseconds=50),
    # Of a worker that is held up for longer, another takes the job: it would be done twice.
    "heartbeat_timeout": timedelta(seconds=20),
}


@dataclass
class Queue:
    """One migrated database; `seen` is what the jobs of this process have noted."""

    url: str
    seen: list[Any] = field(default_factory=list)

    def settings(self, **jobs: Any) -> Settings:
        return load_settings(database={"url": self.url}, jobs=QUICK | jobs, _env_file=None)

    @asynccontextmanager
    async def session(self, registry: JobRegistry) -> AsyncIterator[AsyncSession]:
        """A session such as a request has: committed at the end, rolled back by an exception."""
        async with opened(self.settings(), registry) as make, make.begin() as session:
            yield session

    @asynccontextmanager
    async def worker(self, registry: JobRegistry, **jobs: Any) -> AsyncIterator[None]:
        """A worker that runs while the block does, and is told to stop at its end."""
        settings = self.settings(**jobs)
        stop = asyncio.Event()
        async with opened(settings, registry) as make:
            workplace = Workplace(registry, make.begin, {"seen": self.seen})
            working = asyncio.create_task(work(settings, workplace, stop))
            try:
                yield
            finally:
                stop.set()
                await asyncio.wait_for(working, PROMISED_WITHIN)

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(sql, *arguments)
        finally:
            await connection.close()

    async def waiting(self) -> list[str]:
        """Names of all jobs in the queue, whatever their state."""
        rows = await self.fetch("SELECT entrypoint FROM undercroft.pgqueuer ORDER BY id")
        return [row["entrypoint"] for row in rows]

    async def is_empty(self) -> bool:
        return not await self.waiting()

    async def has_dead(self) -> bool:
        return bool(await self.fetch("SELECT FROM undercroft.pgqueuer WHERE status = 'failed'"))


@asynccontextmanager
async def opened(
    settings: Settings, registry: JobRegistry
) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    database = Database(settings.database)
    try:
        yield async_sessionmaker(database.engine, expire_on_commit=False, **outbox(registry))
    finally:
        await database.dispose()


async def eventually(condition: Callable[[], Awaitable[Any]]) -> None:
    """Wait for what must become true, through outages of the server asked."""
    async with asyncio.timeout(PROMISED_WITHIN):
        while True:
            with suppress(OSError, asyncpg.PostgresError):
                if await condition():
                    return
            await asyncio.sleep(0.02)


def note(context: JobContext, fact: Any) -> None:
    context.services["seen"].append(fact)


@pytest.fixture
def queue(make_database: DatabaseFactory, engines: EngineAddresses) -> Queue:
    """A database of the test's own."""
    return Queue(engines.database_url(make_database()))
