"""The pump by itself, on a database where nobody else sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.fixtures.actors import Caller, sign_in, unique
from tests.fixtures.app import SUPERUSER, make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from tests.fixtures.live import eventually
from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application, create_app
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


# What `PATCH` does, one statement after the other.
CHANGE = text("UPDATE webhooks.webhooks SET is_enabled = false WHERE id::text = :id")
SKIP = text("""
    UPDATE webhooks.deliveries SET state = 'skipped', next_attempt_at = NULL
     WHERE webhook_id::text = :id
""")
KEPT_WAITING = text("""
    SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))
""")
SPOIL = text("UPDATE webhooks.webhooks SET sealed_secret = 'x' WHERE id::text = :id")


@dataclass
class Quiet:
    """A server without a worker."""

    app: Application
    settings: Settings
    sender: Sender
    admin: Caller


@pytest.fixture
def alone(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    return make_settings(engines, make_database())


@pytest_asyncio.fixture
async def quiet(alone: Settings) -> AsyncIterator[Quiet]:
    async with (
        running(create_app(alone)) as app,
        make_client(app) as client,
        aclosing(Outbound(alone.outbound)) as outbound,
    ):
        sender = Sender(alone.webhooks, app.parts.keyring, outbound)
        yield Quiet(app, alone, sender, await sign_in(client, SUPERUSER))


async def test_what_waits_is_counted_now_and_then_only(quiet: Quiet):
    with QueryCounter(quiet.app)() as count:
        for _ in range(5):
            await Pump(quiet.app.parts.database.unit_of_work, quiet.sender).run()
    assert count.statements.count(WAITING_NOW.text) == 1


async def test_who_stops_with_work_left_is_followed_at_once(quiet: Quiet):
    body = {"name": unique("hook"), "url": "https://hooks.example.com/in"}
    made = (await quiet.admin.post(API, json=body)).json()
    await quiet.admin.post(f"{API}/{made['id']}/ping")
    unit_of_work = quiet.app.parts.database.unit_of_work
    async with unit_of_work() as session:
        event_id = await session.scalar(NEWEST_EVENT)
        before = await session.scalar(WAKING, {"job": deliver.name})
    services = {"webhooks": replace(quiet.sender, seconds=0)}
    context = JobContext(unit_of_work, quiet.settings, services, 1, 1)
    await spread.function(context, event_id)
    async with unit_of_work() as session:
        assert await session.scalar(WAKING, {"job": deliver.name}) == before + 1


async def test_a_secret_that_cannot_be_opened_is_a_failed_try(quiet: Quiet):
    body = {"name": unique("hook"), "url": "https://hooks.example.com/in"}
    made = (await quiet.admin.post(API, json=body)).json()
    unit_of_work = quiet.app.parts.database.unit_of_work
    async with unit_of_work() as session:
        await session.execute(SPOIL, {"id": made["id"]})
    await quiet.admin.post(f"{API}/{made['id']}/ping")
    async with unit_of_work() as session:
        event_id = await session.scalar(NEWEST_EVENT)
    services = {"webhooks": replace(quiet.sender, seconds=0)}
    context = JobContext(unit_of_work, quiet.settings, services, 1, 1)
    await spread.function(context, event_id)
    async with asyncio.timeout(20):
        while not (delivery := await newest(quiet, made))["attempts"]:
            await Pump(unit_of_work, replace(quiet.sender, seconds=0.5)).run()
    assert delivery["error"] == "internal_error"


async def test_who_disables_a_webhook_while_its_calls_are_noted_waits_in_no_circle(
    quiet: Quiet, alone: Settings
):
    body = {"name": unique("hook"), "url": "https://hooks.invalid/in"}
    made = (await quiet.admin.post(API, json=body)).json()
    await quiet.admin.post(f"{API}/{made['id']}/ping")
    unit_of_work = quiet.app.parts.database.unit_of_work
    async with unit_of_work() as session:
        await session.execute(CHANGE, {"id": made["id"]})
        pump = asyncio.create_task(Pump(unit_of_work, replace(quiet.sender, seconds=5)).run())
        await eventually(lambda: session.scalar(KEPT_WAITING))
        await session.execute(SKIP, {"id": made["id"]})
    await pump
    delivery = await newest(quiet, made)
    assert (delivery["attempts"], delivery["state"]) == (1, "skipped")


async def newest(quiet: Quiet, webhook: dict[str, Any]) -> dict[str, Any]:
    found = await quiet.admin.get(f"{API}/{webhook['id']}/deliveries")
    return dict(found.json()["items"][0])
