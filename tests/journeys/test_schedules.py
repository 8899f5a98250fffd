"""What runs by the clock, run at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from operator import attrgetter

import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.fixtures.app import make_settings
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import open_workplace
from undercroft.data.sql.jobs import end_lost_queries, prune_sql_history
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import Job, JobContext, Workplace
from undercroft.foundation.settings import Settings
from undercroft.wings import create_registry

RUN = text("""
    INSERT INTO undercroft.sql_runs (id, caller, query, read_only, dry_run, outcome, created_at)
    VALUES (:id, 'somebody', 'select 1', true, false, 'running', now() - CAST(:age AS interval))
""")
OUTCOMES = text("SELECT outcome FROM undercroft.sql_runs ORDER BY created_at DESC")


SCHEDULED = sorted({entry.job for entry in create_registry().schedules}, key=attrgetter("name"))


@pytest.fixture(scope="module")
def own(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    return make_settings(engines, make_database())


@pytest_asyncio.fixture(scope="module")
async def workplace(own: Settings) -> AsyncIterator[Workplace]:
    async with open_workplace(own) as workplace:
        yield workplace


async def perform(job: Job, workplace: Workplace, settings: Settings) -> None:
    context = JobContext(workplace.unit_of_work, settings, workplace.services, 1, 1)
    await asyncio.wait_for(job.function(context), job.timeout.total_seconds())


@pytest.mark.parametrize("job", SCHEDULED, ids=attrgetter("name"))
async def test_every_scheduled_job_works_where_there_is_nothing_to_do(
    job: Job, workplace: Workplace, own: Settings
):
    await perform(job, workplace, own)


async def test_scripts_that_nobody_watches_are_lost_and_old_ones_forgotten(
    workplace: Workplace, own: Settings
):
    async with workplace.unit_of_work() as session:
        for age in (timedelta(), timedelta(hours=1), timedelta(days=400)):
            await session.execute(RUN, {"id": new_id(), "age": age})
    await perform(end_lost_queries, workplace, own)
    async with workplace.unit_of_work() as session:
        assert list(await session.scalars(OUTCOMES)) == ["running", "lost", "lost"]
    await perform(prune_sql_history, workplace, own)
    async with workplace.unit_of_work() as session:
        assert list(await session.scalars(OUTCOMES)) == ["running", "lost"]
