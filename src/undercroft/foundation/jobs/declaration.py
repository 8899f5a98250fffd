"""How a domain declares background work: `@job`, `schedule` and what a running job is given.

@job("identity.send_code", timeout=timedelta(seconds=30))
async def send_code(context: JobContext, user_id: UUID) -> None:
    async with context.unit_of_work() as session: ...

JOBS = [send_code]
SCHEDULES = [schedule(purge_expired_codes, cron="15 * * * *")]
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from croniter import croniter  # type: ignore[import-untyped]
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.jobs.payload import Payload, payload_of
from undercroft.foundation.settings import Settings

UnitOfWork = Callable[[], AbstractAsyncContextManager[AsyncSession]]

JOB_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)+")

# Long enough for a mail server's worst day, short enough that a hung call frees its place.
DEFAULT_TIMEOUT = timedelta(minutes=5)


class GiveUp(Exception):  # noqa: N818 - an instruction to the worker
    """Raised by a job when no further try can help: it becomes a dead letter at once."""


@dataclass(frozen=True)
class JobContext:
    """What a running job may use. `attempt` counts from 1."""

    unit_of_work: UnitOfWork
    settings: Settings
    services: Mapping[str, Any]
    job_id: int
    attempt: int


JobFunction = Callable[..., Awaitable[None]]


@dataclass(frozen=True, eq=False)
class Job:
    """Background work with a name that outlives deployments; rename it only when none is queued."""

    name: str
    function: JobFunction
    max_attempts: int | None = None  # None: settings.jobs.max_attempts
    timeout: timedelta = DEFAULT_TIMEOUT
    payload: Payload = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not JOB_NAME.fullmatch(self.name):
            raise ValueError(f"'{self.name}' is not a job name such as storage.purge_uploads")
        if not inspect.iscoroutinefunction(self.function):
            raise TypeError(f"{self.name} must be an async function")
        object.__setattr__(self, "payload", self._payload())

    def _payload(self) -> Payload:
        return payload_of(self.name, self.function)

    async def __call__(self, context: JobContext, **arguments: Any) -> None:
        await self.function(context, **arguments)


def job(
    name: str, *, max_attempts: int | None = None, timeout: timedelta = DEFAULT_TIMEOUT
) -> Callable[[JobFunction], Job]:
    """Declare an async function `(context, **ids)` as the job `wing.imperative`.

    It may run twice, and it may run while an earlier try that lost its worker still does.
    """

    def declare(function: JobFunction) -> Job:
        return Job(name, function, max_attempts, timeout)

    return declare


@dataclass(frozen=True)
class Schedule:
    """A job that the cluster enqueues on every tick of a cron expression, in UTC.

    A sixth field holds the second. What is due every minute gets one of its own: together they
    would take a connection each, to no end.
    """

    job: Job
    cron: str

    def __post_init__(self) -> None:
        if not croniter.is_valid(self.cron):
            raise ValueError(f"{self.job.name}: '{self.cron}' is not a cron expression")
        self.job.payload.encode({})  # a tick brings no arguments


def schedule(job: Job, *, cron: str) -> Schedule:
    """Enqueue `job` once per tick in the whole cluster.

    A tick missed while no worker ran is made up for once; a tick that finds the one before still
    waiting or running is skipped.
    """
    return Schedule(job, cron)
