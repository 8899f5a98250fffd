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

# Six looks in the time after which a worker counts as silent: soon enough, and cheap.
SWEEPS_PER_TIMEOUT = 6
NEVER = timedelta(days=36_500)


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
