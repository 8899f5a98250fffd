"""What is enqueued or published commits with the caller's transaction, or never was."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.foundation.jobs_support import Queue, eventually, note, opened
from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import (
    JobContext,
    JobRegistry,
    PayloadInvalid,
    enqueue,
    job,
    listens,
    publish,
    subscribes,
)


@dataclass(frozen=True)
class AccountChanged:
    user_id: UUID


@dataclass(frozen=True)
class AccountClosed(AccountChanged):
    reason: str = "asked"


@job("test.greet")
async def greet(context: JobContext, name: str) -> None:
    note(context, name)


@job("test.unknown")
async def unknown(context: JobContext) -> None: ...


@subscribes(AccountChanged, "test.tell_friends")
async def tell_friends(context: JobContext, event: AccountChanged) -> None:
    note(context, ("friends", event))


@subscribes(AccountClosed, "test.tell_bank")
async def tell_bank(context: JobContext, event: AccountClosed) -> None:
    note(context, ("bank", event))


@listens(AccountChanged)
async def write_audit(session: AsyncSession, event: AccountChanged) -> None:
    await session.execute(
        text("INSERT INTO public.audit VALUES (:user_id)"), {"user_id": str(event.user_id)}
    )


REGISTRY = JobRegistry(jobs=[greet], subscriptions=[tell_friends, tell_bank, write_audit])


class OutOfInkError(Exception):
    pass


@asynccontextmanager
async def refused(transaction: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
    """Run the block in a transaction that something else then spoils."""
    with suppress(OutOfInkError):
        async with transaction as within:
            yield within
            raise OutOfInkError


@pytest.fixture
async def audited(queue: Queue) -> Queue:
    await queue.fetch("CREATE TABLE public.audit (user_id text CHECK (user_id <> 'refused'))")
    return queue


async def audit_of(queue: Queue) -> list[str]:
    return [row["user_id"] for row in await queue.fetch("SELECT user_id FROM public.audit")]


class TestEnqueue:
    async def test_runs_after_the_commit(self, queue: Queue):
        async with queue.worker(REGISTRY):
            async with queue.session(REGISTRY) as session:
                await enqueue(session, greet, name="Ada")
                assert await queue.is_empty()
            await eventually(queue.is_empty)
        assert queue.seen == ["Ada"]

    async def test_is_undone_by_a_rollback(self, queue: Queue):
        async with refused(queue.session(REGISTRY)) as session:
            await enqueue(session, greet, name="Ada")
        assert await queue.is_empty()

    async def test_is_undone_by_the_rollback_of_a_savepoint(self, queue: Queue):
        async with queue.session(REGISTRY) as session:
            await enqueue(session, greet, name="Ada")
            async with refused(session.begin_nested()):
                await enqueue(session, greet, name="Bob")
        assert await queue.waiting() == ["test.greet"]

    async def test_refuses_a_bad_payload_and_leaves_the_transaction_usable(self, queue: Queue):
        async with queue.session(REGISTRY) as session:
            with pytest.raises(PayloadInvalid, match=r"test\.greet: name"):
                await enqueue(session, greet, name=7)
            await enqueue(session, greet, name="Ada")
        assert await queue.waiting() == ["test.greet"]

    async def test_refuses_a_job_that_no_worker_knows(self, queue: Queue):
        async with queue.session(REGISTRY) as session:
            with pytest.raises(LookupError, match="not registered"):
                await enqueue(session, unknown)

    async def test_queues_one_of_those_with_the_same_key(self, queue: Queue):
        async with queue.session(REGISTRY) as session:
            first = await enqueue(session, greet, name="Ada", dedupe_key="ada")
            assert first
            assert await enqueue(session, greet, name="Ada", dedupe_key="ada") is None
            assert await enqueue(session, greet, name="Bob", dedupe_key="bob")
        async with queue.session(REGISTRY) as session:
            assert await enqueue(session, greet, name="Ada", dedupe_key="ada") is None
        assert await queue.waiting() == ["test.greet"] * 2

    async def test_takes_the_same_key_again_once_the_job_is_done(self, queue: Queue):
        async with queue.worker(REGISTRY):
            for _ in range(2):
                async with queue.session(REGISTRY) as session:
                    assert await enqueue(session, greet, name="Ada", dedupe_key="ada")
                await eventually(queue.is_empty)
        assert queue.seen == ["Ada", "Ada"]

    async def test_waits_for_its_time(self, queue: Queue):
        async with queue.worker(REGISTRY):
            async with queue.session(REGISTRY) as session:
                await enqueue(session, greet, name="later", at=utc_now() + timedelta(days=1))
                await enqueue(session, greet, name="past", at=utc_now() - timedelta(days=1))
            await eventually(lambda: has_run(queue, "past"))
        assert queue.seen == ["past"]
        assert await queue.waiting() == ["test.greet"]


async def has_run(queue: Queue, fact: object) -> bool:
    return fact in queue.seen


class TestPublish:
    async def test_reaches_every_subscriber_after_the_commit(self, audited: Queue):
        changed, closed = AccountChanged(uuid4()), AccountClosed(uuid4(), "moved")
        async with audited.worker(REGISTRY):
            async with audited.session(REGISTRY) as session:
                publish(session, changed)
                publish(session, closed)
            await eventually(audited.is_empty)
        told = {("friends", changed.user_id), ("friends", closed.user_id), ("bank", closed.user_id)}
        assert {(who, event.user_id) for who, event in audited.seen} == told
        assert ("bank", closed) in audited.seen

    async def test_listeners_write_in_the_same_transaction(self, audited: Queue):
        event = AccountChanged(uuid4())
        async with audited.session(REGISTRY) as session:
            publish(session, event)
            assert await audit_of(audited) == []
        assert await audit_of(audited) == [str(event.user_id)]

    async def test_is_undone_by_a_rollback(self, audited: Queue):
        async with refused(audited.session(REGISTRY)) as session:
            publish(session, AccountChanged(uuid4()))
        assert await audit_of(audited) == []
        assert await audited.is_empty()

    async def test_a_listener_that_fails_stops_the_commit(self, audited: Queue):
        await audited.fetch("DROP TABLE public.audit")
        async with opened(audited.settings(), REGISTRY) as make, make() as session:
            await enqueue(session, greet, name="Ada")
            publish(session, AccountChanged(uuid4()))
            with pytest.raises(ProgrammingError, match="audit"):
                await session.commit()
        assert await audited.is_empty()

    async def test_follows_its_savepoint(self, audited: Queue):
        kept, outer, lost = (AccountChanged(uuid4()) for _ in range(3))
        async with audited.session(REGISTRY) as session:
            publish(session, outer)
            async with session.begin_nested():
                publish(session, kept)
            async with refused(session.begin_nested()), session.begin_nested():
                publish(session, lost)
        assert await audit_of(audited) == [str(kept.user_id), str(outer.user_id)]
        assert await audited.waiting() == ["test.tell_friends"] * 2

    async def test_forgets_an_abandoned_transaction(self, audited: Queue):
        async with opened(audited.settings(), REGISTRY) as make, make() as session:
            publish(session, AccountChanged(uuid4()))
            await session.rollback()
            await session.commit()
            publish(session, AccountChanged(uuid4()))
            await session.close()
            await session.execute(text("SELECT 1"))
            await session.commit()
        assert await audited.is_empty()

    async def test_needs_a_session_that_knows_the_audience(self):
        bare = AsyncSession()
        with pytest.raises(LookupError, match="outbox"):
            publish(bare, AccountChanged(uuid4()))
