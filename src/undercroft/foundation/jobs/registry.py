"""Everything the composition root has collected from the domains, checked once and then fixed."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType

from undercroft.foundation.jobs.declaration import Job, Schedule
from undercroft.foundation.jobs.events import Listener, Subscription
from undercroft.foundation.jobs.housekeeping import HOUSEKEEPING_JOBS, HOUSEKEEPING_SCHEDULES


class JobRegistry:
    """All jobs by name, all schedules, and who hears of which event."""

    def __init__(
        self,
        *,
        jobs: Iterable[Job] = (),
        subscriptions: Iterable[Subscription | Listener] = (),
        schedules: Iterable[Schedule] = (),
    ) -> None:
        audience = list(subscriptions)
        self._subscriptions = [heard for heard in audience if isinstance(heard, Subscription)]
        self._listeners = [heard for heard in audience if isinstance(heard, Listener)]
        self.jobs = MappingProxyType(
            _by_name([*HOUSEKEEPING_JOBS, *jobs, *self._subscriptions]),
        )
        self.schedules: Sequence[Schedule] = (*HOUSEKEEPING_SCHEDULES, *schedules)
        for entry in self.schedules:
            self.require(entry.job)

    def subscriptions_to(self, event: object) -> list[Subscription]:
        return [entry for entry in self._subscriptions if isinstance(event, entry.event)]

    def listeners_to(self, event: object) -> list[Listener]:
        return [entry for entry in self._listeners if isinstance(event, entry.event)]

    def require(self, job: Job) -> None:
        """Refuse a job no worker would know: it would wait in the queue for ever."""
        if self.jobs.get(job.name) is not job:
            raise LookupError(f"{job.name} is not registered; add it to its domain's JOBS")


def _by_name(jobs: Iterable[Job]) -> dict[str, Job]:
    named: dict[str, Job] = {}
    for job in jobs:
        if named.setdefault(job.name, job) is not job:
            raise ValueError(f"Two jobs are called {job.name}")
    return named
