"""PgQueuer's queries on our tables, with its recovery of lost jobs replaced.

PgQueuer hands a job whose worker fell silent to the next one as if it had never been tried, so a
job that kills its worker (out of memory, say) would kill them all, for ever. Here a silent worker
counts as a failed try.
"""

import dataclasses
import time
from datetime import timedelta

from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import Driver
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.jobs.tables import NAMES

QUEUE = NAMES.qualified.queue_table

SWEEP = f"""
    WITH silent AS (
        SELECT id FROM {QUEUE}
        WHERE status = 'picked' AND heartbeat < now() - $1::interval
        FOR UPDATE SKIP LOCKED
    ), returned AS (
        UPDATE {QUEUE} job
        SET status = 'queued', attempts = attempts + 1, queue_manager_id = NULL, slot = NULL,
            execute_after = now(), updated = now()
        FROM silent WHERE job.id = silent.id
        RETURNING job.id, job.entrypoint, job.priority
    )
    INSERT INTO {NAMES.qualified.queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM returned
"""  # noqa: S608 - constant names

BACKLOG = text(f"""
    SELECT entrypoint AS job, count(*) FILTER (WHERE status <> 'failed') AS waiting,
           count(*) FILTER (WHERE status = 'failed') AS dead,
           coalesce(extract(epoch FROM now() - min(execute_after) FILTER (WHERE status = 'queued')),
                    0) AS oldest_seconds
      FROM {QUEUE} GROUP BY entrypoint
""")  # noqa: S608 - constant names

# Six looks in the time after which a worker counts as silent: soon enough, and cheap.
SWEEPS_PER_TIMEOUT = 6
NEVER = timedelta(days=36_500)


@dataclasses.dataclass(frozen=True)
class Backlog:
    """Of one job: how many wait or run, how many are dead, how long the oldest is due."""

    job: str
    waiting: int
    dead: int
    oldest_seconds: float


async def read_backlog(session: AsyncSession) -> list[Backlog]:
    """What is in the queue, by job; jobs that are done are not in it."""
    rows = await session.execute(BACKLOG)
    return [
        Backlog(row.job, row.waiting, row.dead, max(0.0, float(row.oldest_seconds))) for row in rows
    ]


@dataclasses.dataclass
class JobQueries(Queries):
    next_sweep: float = dataclasses.field(default=0.0, init=False)

    @classmethod
    def over(cls, driver: Driver) -> "JobQueries":
        return cls(
            driver,
            QueryBuilderEnvironment(NAMES),
            QueryQueueBuilder(NAMES),
            QuerySchedulerBuilder(NAMES),
        )

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        await self._sweep(heartbeat_timeout)
        return await super().dequeue(
            batch_size, entrypoints, queue_manager_id, global_concurrency_limit, NEVER
        )

    async def _sweep(self, heartbeat_timeout: timedelta) -> None:
        if time.monotonic() < self.next_sweep:
            return
        pause = heartbeat_timeout.total_seconds() / SWEEPS_PER_TIMEOUT
        self.next_sweep = time.monotonic() + pause
        await self.driver.execute(SWEEP, heartbeat_timeout)
