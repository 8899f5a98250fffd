"""Background work that commits with the change that asked for it, and runs at least once.

`enqueue` and `publish` write into Postgres in the caller's transaction; a worker acts after the
commit. A job may run twice (a worker died before it could say it was done), so it must not mind.
The queue itself is PgQueuer (docs/decisions/0003-jobs-on-pgqueuer.md).
"""

from undercroft.foundation.jobs.dead import (
    DeadJob,
    DeadJobNotFound,
    discard_dead_job,
    list_dead_jobs,
    requeue_dead_job,
)
from undercroft.foundation.jobs.declaration import (
    GiveUp,
    Job,
    JobContext,
    Schedule,
    UnitOfWork,
    job,
    schedule,
)
from undercroft.foundation.jobs.events import (
    LONGER,
    Listener,
    Part,
    Subscription,
    listens,
    subscribes,
)
from undercroft.foundation.jobs.outbox import (
    OutboxSession,
    enqueue,
    has_published,
    outbox,
    publish,
    registry_of,
)
from undercroft.foundation.jobs.payload import PayloadInvalid
from undercroft.foundation.jobs.queries import Backlog, read_backlog
from undercroft.foundation.jobs.registry import JobRegistry
from undercroft.foundation.jobs.tables import jobs_ddl
from undercroft.foundation.jobs.together import LONG_WAY, NOT_TOGETHER, Together, run_part, together
from undercroft.foundation.jobs.worker import run_worker, work
from undercroft.foundation.jobs.workplace import OpenWorkplace, Resident, Workplace

__all__ = [
    "LONGER",
    "LONG_WAY",
    "NOT_TOGETHER",
    "Backlog",
    "DeadJob",
    "DeadJobNotFound",
    "GiveUp",
    "Job",
    "JobContext",
    "JobRegistry",
    "Listener",
    "OpenWorkplace",
    "OutboxSession",
    "Part",
    "PayloadInvalid",
    "Resident",
    "Schedule",
    "Subscription",
    "Together",
    "UnitOfWork",
    "Workplace",
    "discard_dead_job",
    "enqueue",
    "has_published",
    "job",
    "jobs_ddl",
    "list_dead_jobs",
    "listens",
    "outbox",
    "publish",
    "read_backlog",
    "registry_of",
    "requeue_dead_job",
    "run_part",
    "run_worker",
    "schedule",
    "subscribes",
    "together",
    "work",
]
