"""The worker: takes jobs from the queue and ticks the schedules, until it is told to stop."""

import asyncio
import signal
import time
from contextlib import suppress
from datetime import timedelta

import structlog
import uvloop
from pgqueuer.core.executors import AsyncCrontab, AsyncEntrypoint
from pgqueuer.core.qm import QueueManager
from pgqueuer.core.sm import SchedulerManager
from pgqueuer.domain.models import Job as ClaimedJob
from pgqueuer.domain.models import Schedule as Tick

from undercroft.foundation.db.failures import told
from undercroft.foundation.jobs.declaration import Job, Schedule
from undercroft.foundation.jobs.driver import QueueDriver
from undercroft.foundation.jobs.queries import JobQueries
from undercroft.foundation.jobs.runner import JobRunner
from undercroft.foundation.jobs.tables import NAMES
from undercroft.foundation.jobs.workplace import OpenWorkplace, Resident, Workplace
from undercroft.foundation.settings import Settings
from undercroft.foundation.telemetry import report

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0

# For interrupted jobs to unwind and the last states to be written.
LAST_WORDS = timedelta(seconds=5)


def run_worker(settings: Settings, open_workplace: OpenWorkplace) -> None:
    """Work until SIGTERM or SIGINT. Needs `settings.database.url`; makes its own event loop.

    On the signal it takes nothing more, lets running jobs finish for `jobs.stop_grace`, gives the
    others back to the queue and returns.
    """
    uvloop.run(_run_until_signal(settings, open_workplace))


async def _run_until_signal(settings: Settings, open_workplace: OpenWorkplace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_workplace(settings) as workplace:
        await asyncio.gather(
            work(settings, workplace, stop),
            *(house(resident, stop) for resident in workplace.residents),
        )


async def house(resident: Resident, stop: asyncio.Event) -> None:
    """Run a resident until `stop`, again after what it did not look after itself."""
    pause = FIRST_PAUSE
    while not stop.is_set():
        started = time.monotonic()
        try:
            await resident(stop)
        except Exception as error:
            log.exception("resident_failed", resident=repr(resident), **told(error))
            report(error)
            if time.monotonic() - started > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)


async def work(settings: Settings, workplace: Workplace, stop: asyncio.Event) -> None:
    """Work until `stop` is set, whatever happens to Postgres meanwhile."""
    runner = JobRunner(settings, workplace)
    log.info("worker_started", jobs=len(workplace.registry.jobs))
    pause = FIRST_PAUSE
    while not stop.is_set():
        started = time.monotonic()
        try:
            await _Shift(settings, workplace, runner).last_until(stop)
        except Exception as error:
            # Before the first migration, say. The trace once, and not with every new try.
            if time.monotonic() - started > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            again = {"error": repr(error), "exc_info": False}
            log.exception(
                "worker_failed", pause=pause, **(told(error) if pause == FIRST_PAUSE else again)
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    log.info("worker_stopped")


class _Shift:
    """One queue manager and one scheduler over one connection; they cannot be started twice."""

    def __init__(self, settings: Settings, workplace: Workplace, runner: JobRunner) -> None:
        self._settings = settings.jobs
        self._runner = runner
        self._driver = QueueDriver(settings.database)
        self._queries = JobQueries.over(self._driver)
        self._queue = QueueManager(self._queries, channel=NAMES.channel)
        self._scheduler = SchedulerManager(self._queries)
        for job in workplace.registry.jobs.values():
            self._queue.entrypoint(job.name, accepts_context=False, on_failure="hold")(
                self._execution_of(job)
            )
        for schedule in workplace.registry.schedules:
            self._scheduler.schedule(schedule.job.name, schedule.cron, accepts_context=False)(
                self._tick_of(schedule)
            )

    async def last_until(self, stop: asyncio.Event) -> None:
        work = [asyncio.create_task(self._take_jobs()), asyncio.create_task(self._scheduler.run())]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([*work, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await self._wind_up(work)
        for task in work:
            task.result()

    async def _take_jobs(self) -> None:
        # PgQueuer wants room for two batches, which at one job at a time there is not: the
        # runner's own limit then keeps the second one waiting.
        batch = max(1, self._settings.concurrency // 2)
        await self._queue.run(
            dequeue_timeout=self._settings.poll_interval,
            batch_size=batch,
            max_concurrent_tasks=max(2 * batch, self._settings.concurrency),
            heartbeat_timeout=self._settings.heartbeat_timeout,
            log_aggregation_interval=timedelta(0),  # the metrics say it, and cheaper
        )

    async def _wind_up(self, work: list[asyncio.Task[None]]) -> None:
        """Never by cancelling PgQueuer's tasks: it takes that for the cancelling of their jobs."""
        self._queue.shutdown.set()
        self._scheduler.shutdown.set()
        self._driver.shutdown.set()
        _, late = await asyncio.wait(work, timeout=self._settings.stop_grace.total_seconds())
        if late:
            self._runner.interrupt()
            await asyncio.wait(late, timeout=LAST_WORDS.total_seconds())
        await self._driver.close()

    def _execution_of(self, job: Job) -> AsyncEntrypoint:
        async def execute(claimed: ClaimedJob) -> None:
            await self._runner.run(job, claimed)

        return execute

    def _tick_of(self, schedule: Schedule) -> AsyncCrontab:
        async def tick(_: Tick) -> None:
            await self._queries.enqueue(
                schedule.job.name,
                b"{}",
                dedupe_key=f"schedule:{schedule.job.name}",
                on_conflict="skip",
            )

        return tick
