"""The pump by itself, on a database where nobody else sends."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest_asyncio
from sqlalchemy import text

from tests.fixtures.actors import Caller, unique
from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application
from undercroft.foundation.jobs import JobContext
from undercroft.foundation.outbound import Outbound
from undercroft.foundation.settings import Settings
from undercroft.webhooks.jobs import deliver, spread
from undercroft.webhooks.pump import WAITING_NOW, Pump, Sender

API = "/api/v1/webhooks"
NEWEST_EVENT = text("SELECT id FROM webhooks.events ORDER BY created_at DESC, id DESC LIMIT 1")
WAKING = text("""
    SELECT count(*) FROM undercroft.pgqueuer
     WHERE entrypoint = :job AND status = 'queued' AND execute_after <= now()
""")


@pytest_asyncio.fixture
async def sender(app: Application, settings: Settings) -> AsyncIterator[Sender]:
    async with aclosing(Outbound(settings.outbound)) as outbound:
        yield Sender(settings.webhooks, app.parts.keyring, outbound)


async def test_what_waits_is_counted_now_and_then_only(
    app: Application, sender: Sender, query_counter: QueryCounter
):
    with query_counter() as count:
        for _ in range(5):
            await Pump(app.parts.database.unit_of_work, sender).run()
    assert count.statements.count(WAITING_NOW.text) == 1


async def test_who_stops_with_work_left_is_followed_at_once(
    app: Application, sender: Sender, settings: Settings, admin: Caller
):
    body = {"name": unique("hook"), "url": "https://hooks.example.com/in"}
    made = (await admin.post(API, json=body)).json()
    await admin.post(f"{API}/{made['id']}/ping")
    unit_of_work = app.parts.database.unit_of_work
    async with unit_of_work() as session:
        event_id = await session.scalar(NEWEST_EVENT)
        before = await session.scalar(WAKING, {"job": deliver.name})
    services = {"webhooks": replace(sender, seconds=0)}
    await spread.function(JobContext(unit_of_work, settings, services, 1, 1), event_id)
    async with unit_of_work() as session:
        assert await session.scalar(WAKING, {"job": deliver.name}) == before + 1
    await admin.delete(f"{API}/{made['id']}")
