"""One try of one job: its time limit, what its failure means, when it is tried again."""

import asyncio
import random
import time
from datetime import timedelta

import structlog
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job as ClaimedJob

from undercroft.foundation.context import set_work
from undercroft.foundation.jobs.declaration import GiveUp, Job, JobContext
from undercroft.foundation.jobs.metrics import Outcome, count_try
from undercroft.foundation.jobs.workplace import Workplace
from undercroft.foundation.settings import JobSettings, Settings
from undercroft.foundation.telemetry import report

log = structlog.get_logger()


class WorkersLost(Exception):  # noqa: N818 - it names what happened
    """Every worker that tried the job fell silent, so it is not given to another."""


class Interrupted(Exception):  # noqa: N818
    """The worker stops and could not wait for this job any longer."""


class JobRunner:
    """Runs what the queue hands out, at most `concurrency` at once.

    An exception that leaves `run` makes PgQueuer park the job as a dead letter, `RetryRequested`
    makes it wait for its next try.
    """

    def __init__(self, settings: Settings, workplace: Workplace) -> None:
        self._settings = settings
        self._workplace = workplace
        self._places = asyncio.Semaphore(settings.jobs.concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._interrupted = False

    async def run(self, job: Job, claimed: ClaimedJob) -> None:
        attempt = claimed.attempts + 1
        labels = {"job": job.name, "job_id": claimed.id, "attempt": attempt}
        with structlog.contextvars.bound_contextvars(**labels):
            async with self._places:
                await self._try(job, claimed, attempt)

    def interrupt(self) -> None:
        """Stop what still runs and give it back to the queue."""
        self._interrupted = True
        for task in self._running:
            task.cancel()

    async def _try(self, job: Job, claimed: ClaimedJob, attempt: int) -> None:
        started = time.monotonic()
        outcome: Outcome = "succeeded"
        try:
            await self._perform(job, claimed, attempt)
        except Interrupted as error:
            outcome = "interrupted"
            raise RetryRequested(reason=str(error)) from error
        except Exception as error:
            last = attempt >= self._limit(job) or isinstance(error, GiveUp)
            outcome = "died" if last else "retried"
            if last:
                log.error("job_died", error=repr(error))  # noqa: TRY400 - the queue keeps the trace
                report(error)
                raise
            delay = back_off(attempt, self._settings.jobs)
            log.warning("job_failed", error=repr(error), next_try_in=delay.total_seconds())
            raise RetryRequested(delay, reason=str(error)) from error
        finally:
            count_try(job.name, outcome, timedelta(seconds=time.monotonic() - started))

    async def _perform(self, job: Job, claimed: ClaimedJob, attempt: int) -> None:
        if attempt > self._limit(job):
            raise WorkersLost(f"{claimed.attempts} workers tried it and were never heard of again")
        context = JobContext(
            unit_of_work=self._workplace.unit_of_work,
            settings=self._settings,
            services=self._workplace.services,
            job_id=claimed.id,
            attempt=attempt,
        )
        arguments = job.payload.decode(claimed.payload)
        await self._interruptibly(asyncio.create_task(_call(job, context, arguments)), job.timeout)

    async def _interruptibly(self, task: asyncio.Task[None], timeout: timedelta) -> None:
        """Await `task`; it is not PgQueuer's own, whose cancelling would delete the job."""
        self._running.add(task)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await task
        except asyncio.CancelledError:
            if self._interrupted:
                raise Interrupted("the worker was stopped") from None
            raise
        finally:
            self._running.discard(task)

    def _limit(self, job: Job) -> int:
        return job.max_attempts or self._settings.jobs.max_attempts


async def _call(job: Job, context: JobContext, arguments: dict[str, object]) -> None:
    set_work(f"job {job.name}")
    await job(context, **arguments)


def back_off(attempt: int, settings: JobSettings) -> timedelta:
    """Doubling waits, each cut at random by up to half: a crowd must not come back at once."""
    # The exponent is bounded because a timedelta overflows long before an int does.
    doublings = min(attempt - 1, 20)
    full = min(settings.first_retry * (1 << doublings), settings.longest_retry)
    return full * random.uniform(0.5, 1)  # noqa: S311 - nothing is guarded by it
