"""The transactional outbox: what `enqueue` and `publish` write, commits with the caller or never.

The Database builds its sessions with `outbox(registry)`. What `publish` collects is delivered when
the transaction commits, whoever commits it: a hook on the session, so that no path can forget it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import AsyncSession, async_session
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only

from undercroft.foundation import clock
from undercroft.foundation.db import Database
from undercroft.foundation.jobs.declaration import Job
from undercroft.foundation.jobs.registry import JobRegistry
from undercroft.foundation.jobs.tables import NAMES

# "skip": a second job with a dedupe key that is waiting or running is not an error, it is a no-op.
ENQUEUE = QueryQueueBuilder(NAMES).build_enqueue_query("skip")

REGISTRY = "undercroft.jobs.registry"
PENDING = "undercroft.jobs.pending"
PUBLISHED = "undercroft.jobs.published"


class OutboxSession(Session):
    """The synchronous half of every session that may publish; see `outbox`."""


def outbox(registry: JobRegistry) -> dict[str, Any]:
    """Arguments for `async_sessionmaker(engine, **outbox(registry))`."""
    return {"sync_session_class": OutboxSession, "info": {REGISTRY: registry}}


async def enqueue(
    session: AsyncSession,
    job: Job,
    *,
    at: datetime | None = None,
    dedupe_key: str | None = None,
    **ids: Any,
) -> int | None:
    """Queue `job` in this transaction and return its id.

    Raises `PayloadInvalid` when `ids` are not the job's arguments. With a `dedupe_key` under which
    the same job already waits or runs, nothing is queued and the answer is None.
    """
    _registry(session.sync_session).require(job)
    delay = max(at - clock.utc_now(), timedelta()) if at else timedelta()
    entry = _Entry(
        job.name, job.payload.encode(ids), delay, dedupe_key and f"{job.name}:{dedupe_key}"
    )
    return (await session.run_sync(_insert, [entry])).get(0)


def publish(session: AsyncSession, event: object) -> None:
    """Announce a fact; it reaches its audience if and only if this transaction commits.

    Inside a savepoint it depends on the savepoint too.
    """
    sync_session = session.sync_session
    _registry(sync_session)
    transaction = sync_session.get_nested_transaction() or sync_session.get_transaction()
    pending = sync_session.info.setdefault(PENDING, [])
    pending.append((transaction or sync_session.begin(), event))
    sync_session.info[PUBLISHED] = True


def has_published(session: AsyncSession) -> bool:
    """Whether anything was announced through this session."""
    return PUBLISHED in session.sync_session.info


@dataclass(frozen=True)
class _Entry:
    job: str
    payload: bytes
    delay: timedelta = timedelta()
    dedupe_key: str | None = None


def registry_of(database: Database) -> JobRegistry:
    """Who hears of what is published through this database's sessions."""
    return _known(database.session_options.get("info", {}).get(REGISTRY))


def _registry(session: Session) -> JobRegistry:
    return _known(session.info.get(REGISTRY))


def _known(registry: object) -> JobRegistry:
    if not isinstance(registry, JobRegistry):
        raise LookupError(  # noqa: TRY004 - it is absent, not of a wrong type
            "This session was not made with outbox(registry)"
        )
    return registry


def _insert(session: Session, entries: Sequence[_Entry]) -> dict[int, int]:
    """Queue all in one round trip; answers position → id, without those that were skipped."""
    values = (
        [0] * len(entries),
        [entry.job for entry in entries],
        [entry.payload for entry in entries],
        [entry.delay for entry in entries],
        [entry.dedupe_key for entry in entries],
        ["null"] * len(entries),
    )
    rows = session.connection().exec_driver_sql(ENQUEUE, values)
    return {row.ord - 1: row.id for row in rows}


@sqlalchemy_event.listens_for(OutboxSession, "before_commit")
def _deliver(session: Session) -> None:
    committing = session.get_nested_transaction() or session.get_transaction()
    while events := _take(session, committing):
        _tell_listeners(session, events)  # may publish more: hence the loop
        _queue_subscriptions(session, events)


def _take(session: Session, transaction: SessionTransaction | None) -> list[object]:
    """Remove and return what was published in `transaction`, and not around it."""
    pending = session.info.get(PENDING)
    if not pending:
        return []
    session.info[PENDING] = [entry for entry in pending if entry[0] is not transaction]
    return [event for origin, event in pending if origin is transaction]


def _tell_listeners(session: Session, events: Sequence[object]) -> None:
    asynchronous = async_session(session)
    assert asynchronous, "OutboxSession is only used below an AsyncSession"
    for event in events:
        for listener in _registry(session).listeners_to(event):
            await_only(listener.function(asynchronous, event))


def _queue_subscriptions(session: Session, events: Sequence[object]) -> None:
    entries = [
        _Entry(subscription.name, subscription.payload.encode({"event": event}))
        for event in events
        for subscription in _registry(session).subscriptions_to(event)
    ]
    if entries:
        _insert(session, entries)


@sqlalchemy_event.listens_for(OutboxSession, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    """Rolled back or closed: what was published in it never happened."""
    _take(session, transaction)
