"""What a worker promises: every committed job is tried until it succeeds or is a dead letter."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from prometheus_client import REGISTRY as METRICS
from sqlalchemy import text

from tests.foundation.jobs_support import Queue, eventually, note
from undercroft.foundation.jobs import (
    DeadJobNotFound,
    GiveUp,
    JobContext,
    JobRegistry,
    discard_dead_job,
    enqueue,
    job,
    list_dead_jobs,
    requeue_dead_job,
    schedule,
)
from undercroft.foundation.jobs.housekeeping import (
    HOUSEKEEPING_SCHEDULES,
    forget_answers,
    prune_job_log,
)
from undercroft.foundation.jobs.runner import back_off
from undercroft.foundation.settings import JobSettings


class MailServerDownError(Exception):
    pass


@job("test.greet")
async def greet(context: JobContext, name: str) -> None:
    note(context, name)


@job("test.stumble", max_attempts=3)
async def stumble(context: JobContext, falls: int) -> None:
    note(context, context.attempt)
    if context.attempt <= falls:
        raise MailServerDownError("connection refused")


@job("test.bounce")
async def bounce(context: JobContext) -> None:
    note(context, "bounce")
    raise GiveUp("no such address")


@job("test.hang", max_attempts=1, timeout=timedelta(milliseconds=50))
async def hang(context: JobContext) -> None:
    await asyncio.Event().wait()


@job("test.dawdle")
async def dawdle(context: JobContext) -> None:
    note(context, "begun")
    if context.attempt == 1:
        await asyncio.Event().wait()
    note(context, "done")


@job("test.linger")
async def linger(context: JobContext) -> None:
    note(context, "begun")
    await asyncio.sleep(0.3)
    note(context, "done")


@job("test.write")
async def write(context: JobContext, user_id: UUID) -> None:
    async with context.unit_of_work() as session:
        await session.execute(text("INSERT INTO public.written VALUES (:id)"), {"id": user_id})
        await enqueue(session, greet, name="written")


REGISTRY = JobRegistry(jobs=[greet, stumble, bounce, hang, dawdle, linger, write])


async def put(queue: Queue, wanted, **arguments) -> None:
    async with queue.session(REGISTRY) as session:
        await enqueue(session, wanted, **arguments)


async def run_to_death(queue: Queue, wanted, **arguments) -> int:
    await put(queue, wanted, **arguments)
    async with queue.worker(REGISTRY):
        await eventually(queue.has_dead)
    async with queue.session(REGISTRY) as session:
        return (await list_dead_jobs(session))[0].id


async def saw(queue: Queue, *facts) -> bool:
    return queue.seen == list(facts)


class TestWork:
    async def test_does_what_was_queued_before_it_started(self, queue: Queue):
        await put(queue, greet, name="Ada")
        async with queue.worker(REGISTRY):
            await eventually(queue.is_empty)
        assert queue.seen == ["Ada"]

    async def test_a_job_has_a_unit_of_work_and_may_enqueue(self, queue: Queue):
        await queue.fetch("CREATE TABLE public.written (id uuid)")
        user_id = UUID(int=7)
        await put(queue, write, user_id=user_id)
        async with queue.worker(REGISTRY):
            await eventually(lambda: saw(queue, "written"))
        assert [row["id"] for row in await queue.fetch("SELECT id FROM public.written")] == [
            user_id
        ]

    async def test_two_workers_share_and_do_nothing_twice(self, queue: Queue):
        names = [f"guest {number}" for number in range(200)]
        async with queue.session(REGISTRY) as session:
            for name in names:
                await enqueue(session, greet, name=name)
        async with queue.worker(REGISTRY), queue.worker(REGISTRY):
            await eventually(queue.is_empty)
        assert sorted(queue.seen) == sorted(names)

    @pytest.mark.parametrize("concurrency", [1, 3])
    async def test_runs_no_more_at_once_than_it_may(self, queue: Queue, concurrency: int):
        for _ in range(6):
            await put(queue, linger)
        async with queue.worker(REGISTRY, concurrency=concurrency):
            await eventually(queue.is_empty)
        running = [
            queue.seen[:end].count("begun") - queue.seen[:end].count("done")
            for end in range(len(queue.seen))
        ]
        assert max(running) == concurrency

    async def test_waits_for_the_migration_that_brings_its_tables(self, queue: Queue):
        await queue.fetch("ALTER TABLE undercroft.pgqueuer RENAME TO not_yet")
        async with queue.worker(REGISTRY):
            await asyncio.sleep(0.2)
            await queue.fetch("ALTER TABLE undercroft.not_yet RENAME TO pgqueuer")
            await put(queue, greet, name="Ada")
            await eventually(lambda: saw(queue, "Ada"))

    async def test_works_through_a_transaction_mode_pooler(self, queue: Queue):
        """No LISTEN there: it polls. (Nothing else tells the two apart on a direct connection.)"""
        settings = queue.settings()
        database = settings.database.model_copy(update={"pooled": True})
        queue.settings = lambda **_: settings.model_copy(update={"database": database})
        async with queue.worker(REGISTRY):
            await put(queue, greet, name="Ada")
            await eventually(lambda: saw(queue, "Ada"))

    async def test_counts_what_it_does(self, queue: Queue):
        def value(name: str, **labels: str) -> float:
            return METRICS.get_sample_value(name, labels) or 0

        before = value("undercroft_jobs_total", job="test.stumble", outcome="retried")
        await put(queue, stumble, falls=2)
        async with queue.worker(REGISTRY):
            await eventually(queue.is_empty)
        after = value("undercroft_jobs_total", job="test.stumble", outcome="retried")
        assert after - before == 2
        assert value("undercroft_jobs_total", job="test.stumble", outcome="succeeded") >= 1
        assert value("undercroft_job_duration_seconds_count", job="test.stumble") >= 3


class TestRetry:
    async def test_tries_again_until_it_succeeds(self, queue: Queue):
        await put(queue, stumble, falls=2)
        async with queue.worker(REGISTRY):
            await eventually(queue.is_empty)
        assert queue.seen == [1, 2, 3]

    def test_waits_double_each_time_up_to_the_longest(self):
        settings = JobSettings(
            first_retry=timedelta(seconds=4), longest_retry=timedelta(seconds=20)
        )
        for attempt, full in [(1, 4), (2, 8), (3, 16), (4, 20), (5000, 20)]:
            waits = {back_off(attempt, settings) for _ in range(50)}
            assert timedelta(seconds=full / 2) <= min(waits)
            assert max(waits) <= timedelta(seconds=full)
            assert len(waits) > 1

    async def test_waits_before_the_next_try(self, queue: Queue):
        await put(queue, stumble, falls=1)
        async with queue.worker(
            REGISTRY, first_retry=timedelta(days=1), longest_retry=timedelta(days=1)
        ):
            await eventually(lambda: put_off(queue))
        assert queue.seen == [1]


async def put_off(queue: Queue) -> bool:
    return bool(
        await queue.fetch(
            "SELECT FROM undercroft.pgqueuer WHERE status = 'queued' AND attempts = 1 "
            "AND execute_after > now() + interval '11 hours'"
        )
    )


class TestDeadLetter:
    async def test_is_kept_with_its_reason(self, queue: Queue):
        job_id = await run_to_death(queue, stumble, falls=9)
        async with queue.session(REGISTRY) as session:
            (dead,) = await list_dead_jobs(session)
        assert queue.seen == [1, 2, 3]
        assert (dead.id, dead.name, dead.attempts) == (job_id, "test.stumble", 3)
        assert dead.arguments == {"falls": 9}
        assert dead.error == "MailServerDownError: connection refused"
        assert "in stumble" in dead.traceback

    async def test_comes_at_once_when_no_try_can_help(self, queue: Queue):
        await run_to_death(queue, bounce)
        assert queue.seen == ["bounce"]

    async def test_comes_of_a_job_that_takes_too_long(self, queue: Queue):
        await run_to_death(queue, hang)
        async with queue.session(REGISTRY) as session:
            assert (await list_dead_jobs(session))[0].error.startswith("TimeoutError")

    async def test_comes_of_arguments_the_code_no_longer_takes(self, queue: Queue):
        await put(queue, greet, name="Ada")
        await queue.fetch('UPDATE undercroft.pgqueuer SET payload = \'{"title": "Dr"}\'')
        async with queue.worker(REGISTRY, max_attempts=2):
            await eventually(queue.has_dead)
        assert queue.seen == []

    async def test_runs_again_when_requeued(self, queue: Queue):
        job_id = await run_to_death(queue, stumble, falls=3)
        queue.seen.clear()
        async with queue.session(REGISTRY) as session:
            await requeue_dead_job(session, job_id)
            assert await list_dead_jobs(session) == []
        async with queue.worker(REGISTRY):
            await eventually(queue.has_dead)
        assert queue.seen == [1, 2, 3]

    async def test_runs_again_even_when_its_key_is_taken(self, queue: Queue):
        await put(queue, stumble, falls=3, dedupe_key="only one")
        async with queue.worker(REGISTRY):
            await eventually(queue.has_dead)
        await put(queue, stumble, falls=0, dedupe_key="only one")
        async with queue.session(REGISTRY) as session:
            (dead,) = await list_dead_jobs(session)
            await requeue_dead_job(session, dead.id)
        assert await queue.waiting() == ["test.stumble"] * 2

    async def test_is_gone_when_discarded(self, queue: Queue):
        job_id = await run_to_death(queue, bounce)
        async with queue.session(REGISTRY) as session:
            await discard_dead_job(session, job_id)
        assert await queue.is_empty()

    @pytest.mark.parametrize("decide", [requeue_dead_job, discard_dead_job])
    async def test_that_is_not_dead_is_not_found(self, queue: Queue, decide):
        await put(queue, greet, name="Ada")
        (row,) = await queue.fetch("SELECT id FROM undercroft.pgqueuer")
        async with queue.session(REGISTRY) as session:
            for job_id in (row["id"], row["id"] + 1):
                with pytest.raises(DeadJobNotFound):
                    await decide(session, job_id)
        assert await queue.waiting() == ["test.greet"]

    async def test_lists_page_by_page_and_by_name(self, queue: Queue):
        for _ in range(3):
            await put(queue, bounce)
        await put(queue, stumble, falls=9)
        async with queue.worker(REGISTRY):
            await eventually(lambda: all_dead(queue, 4))
        async with queue.session(REGISTRY) as session:
            everything = await list_dead_jobs(session)
            first = await list_dead_jobs(session, limit=3)
            rest = await list_dead_jobs(session, before=first[-1].id)
            bounced = await list_dead_jobs(session, name="test.bounce")
        assert [*first, *rest] == everything
        assert [dead.id for dead in everything] == [4, 3, 2, 1]
        assert [dead.name for dead in bounced] == ["test.bounce"] * 3


async def all_dead(queue: Queue, count: int) -> bool:
    rows = await queue.fetch("SELECT FROM undercroft.pgqueuer WHERE status = 'failed'")
    return len(rows) == count


class TestStop:
    async def test_lets_a_running_job_finish(self, queue: Queue):
        await put(queue, linger)
        async with queue.worker(REGISTRY):
            await eventually(lambda: saw(queue, "begun"))
        assert queue.seen == ["begun", "done"]
        assert await queue.is_empty()

    async def test_gives_a_job_that_will_not_end_back_to_the_queue(self, queue: Queue):
        await put(queue, dawdle)
        async with queue.worker(REGISTRY, stop_grace=timedelta(milliseconds=50)):
            await eventually(lambda: saw(queue, "begun"))
        assert await queue.waiting() == ["test.dawdle"]
        async with queue.worker(REGISTRY):
            await eventually(queue.is_empty)
        assert queue.seen == ["begun", "begun", "done"]


class TestLostWorkers:
    async def test_a_job_of_a_silent_worker_is_run_by_another(self, queue: Queue):
        await put(queue, dawdle)
        await claim_for_nobody(queue)
        async with queue.worker(REGISTRY):
            await eventually(queue.is_empty)
        assert queue.seen == ["begun", "done"]

    async def test_a_job_that_kills_its_workers_becomes_a_dead_letter(self, queue: Queue):
        await put(queue, greet, name="Ada")
        await claim_for_nobody(queue, attempts=1)
        async with queue.worker(REGISTRY, max_attempts=2):
            await eventually(queue.has_dead)
        assert queue.seen == []
        async with queue.session(REGISTRY) as session:
            assert (await list_dead_jobs(session))[0].error.startswith("WorkersLost")


async def claim_for_nobody(queue: Queue, attempts: int = 0) -> None:
    """As a worker that took the job leaves it when it dies."""
    await queue.fetch(
        "UPDATE undercroft.pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), "
        "heartbeat = now() - interval '1 hour', attempts = $1",
        attempts,
    )


class TestSchedule:
    async def test_runs_once_per_tick_on_two_workers(self, queue: Queue):
        ticks = []
        for number in range(20):

            async def run(context: JobContext, number: int = number) -> None:
                note(context, number)

            name = f"test.tick_{chr(ord('a') + number)}"
            ticks.append(schedule(job(name)(run), cron="0 0 1 1 *"))
        registry = JobRegistry(jobs=[tick.job for tick in ticks], schedules=ticks)
        known = len(ticks) + len(HOUSEKEEPING_SCHEDULES)
        async with queue.worker(registry):
            await eventually(lambda: known_schedules(queue, known))
        assert queue.seen == []
        await queue.fetch("UPDATE undercroft.pgqueuer_schedules SET next_run = now()")
        async with queue.worker(registry), queue.worker(registry):
            await eventually(lambda: all_seen(queue, len(ticks)))
            await eventually(queue.is_empty)
        async with queue.worker(registry), queue.worker(registry):
            await eventually(queue.is_empty)
        assert sorted(queue.seen) == list(range(20))

    async def test_ticks_every_second(self, queue: Queue):
        often = schedule(bounce, cron="* * * * * *")
        registry = JobRegistry(jobs=[bounce], schedules=[often])
        async with queue.worker(registry):
            await eventually(lambda: all_dead(queue, 2))

    async def test_a_tick_waits_for_the_one_before(self, queue: Queue):
        registry = JobRegistry(jobs=[dawdle], schedules=[schedule(dawdle, cron="* * * * * *")])
        async with queue.worker(registry, stop_grace=timedelta(0)):
            await eventually(lambda: saw(queue, "begun"))
            await asyncio.sleep(1.5)
        assert await queue.waiting() == ["test.dawdle"]


async def known_schedules(queue: Queue, count: int) -> bool:
    return len(await queue.fetch("SELECT FROM undercroft.pgqueuer_schedules")) == count


async def all_seen(queue: Queue, count: int) -> bool:
    return len(queue.seen) >= count


class TestHousekeeping:
    async def test_forgets_finished_jobs_but_not_why_one_died(self, queue: Queue):
        await run_to_death(queue, bounce)
        await put(queue, greet, name="Ada")
        registry = JobRegistry(jobs=[greet])
        async with queue.worker(registry):
            await eventually(lambda: saw(queue, "bounce", "Ada"))
        await queue.fetch(
            "UPDATE undercroft.pgqueuer_log SET created = created - interval '1 year'"
        )
        async with queue.session(registry) as session:
            await enqueue(session, prune_job_log)
        async with queue.worker(registry):
            await eventually(lambda: only_dead_logged(queue))
        async with queue.session(registry) as session:
            assert (await list_dead_jobs(session))[0].error == "GiveUp: no such address"


async def only_dead_logged(queue: Queue) -> bool:
    rows = await queue.fetch(
        "SELECT DISTINCT entrypoint FROM undercroft.pgqueuer_log WHERE created < now() - "
        "interval '1 day'"
    )
    return [row["entrypoint"] for row in rows] == ["test.bounce"]


class TestAnswersByIdempotencyKey:
    async def test_are_deleted_when_their_day_is_over(self, queue: Queue):
        registry = JobRegistry(jobs=[])
        await queue.fetch(
            "INSERT INTO undercroft.idempotency_keys"
            " (scope, fingerprint, status, sealed, expires_at) VALUES"
            " ('old', '', 201, '', now() - interval '1 minute'),"
            " ('live', '', 201, '', now() + interval '1 hour')"
        )
        async with queue.session(registry) as session:
            await enqueue(session, forget_answers)

        async def only_the_live_one() -> bool:
            rows = await queue.fetch("SELECT scope FROM undercroft.idempotency_keys")
            return [row["scope"] for row in rows] == [b"live"]

        async with queue.worker(registry):
            await eventually(only_the_live_one)
