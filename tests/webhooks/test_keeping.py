"""Webhooks over time and over several workers; the command line."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tests.fixtures.targets import answer, target
from tests.webhooks.conftest import API, PATIENCE, Office, an_office
from tests.webhooks.test_webhooks import about
from undercroft.cli.main import app as command_line
from undercroft.foundation.jobs import enqueue
from undercroft.webhooks.jobs import purge


async def run(office: Office, sql: str, **values: Any) -> None:
    async with office.app.parts.database.unit_of_work() as session:
        await session.execute(text(sql), values)


async def test_a_target_that_failed_for_days_is_switched_off(office: Office):
    async with target(answer()) as watcher, target(answer(500)) as server:
        await office.webhook(watcher.url(), "webhook.disabled")
        made = await office.webhook(server.url())
        await run(
            office,
            "UPDATE webhooks.webhooks SET failing_since = now() - interval '6 days' WHERE id = :id",
            id=UUID(made["id"]),
        )
        await office.admin.post(f"{API}/{made['id']}/ping")
        heard = json.loads((await about(watcher, "webhook_id", made["id"])).body)
        assert heard["data"]["reason"] == "failing"
        assert len(server.heard) == 1
        path = f"{API}/{made['id']}"
        on = await office.admin.patch(path, json={"is_enabled": True})
        assert (on.json()["failures"], on.json()["disabled_reason"]) == (0, None)


async def test_a_success_in_between_forgives(office: Office):
    async with target(answer()) as server:
        made = await office.webhook(server.url())
        await run(
            office,
            "UPDATE webhooks.webhooks SET failures = 9, failing_since = now() - interval '6 days',"
            " paused_until = now() WHERE id = :id",
            id=UUID(made["id"]),
        )
        await office.admin.post(f"{API}/{made['id']}/ping")
        await office.settled(made, "delivered")
        now = await office.read(made)
        assert (now["failures"], now["failing_since"], now["is_enabled"]) == (0, None, True)


async def test_what_a_lost_worker_had_claimed_is_sent_by_another(office: Office):
    async with target(answer()) as server:
        made = await office.webhook(server.url(), is_enabled=False)
        await run(
            office,
            "INSERT INTO webhooks.events (id, type, data) VALUES (:id, 'webhook.ping', '{}')",
            id=(event := uuid4()),
        )
        await run(
            office,
            "INSERT INTO webhooks.deliveries"
            " (id, webhook_id, event_id, event_type, tries_left, claimed_until)"
            " VALUES (:id, :webhook, :event, 'webhook.ping', 3, now() - interval '1 second')",
            id=uuid4(),
            webhook=UUID(made["id"]),
            event=event,
        )
        await office.admin.patch(f"{API}/{made['id']}", json={"is_enabled": True})
        assert (await server.next()).headers["webhook-id"] == str(event)


async def test_several_workers_send_each_delivery_once(office: Office):
    async with an_office(office.settings), target(answer()) as server:
        made = await office.webhook(server.url(), "api_key.created")
        body = {"name": "key", "permissions": []}
        races = [office.admin.post("/api/v1/api-keys", json=body) for _ in range(40)]
        keys = {one.json()["id"] for one in await asyncio.gather(*races)}
        await office.settled(made, "delivered", count=40)
        heard = [json.loads(entry.body)["data"]["key_id"] for entry in server.heard]
        assert sorted(heard) == sorted(keys)


async def test_what_is_old_is_forgotten(office: Office):
    async with target(answer()) as server:
        made = await office.webhook(server.url())
        for _ in range(2):
            await office.admin.post(f"{API}/{made['id']}/ping")
        old, kept = await office.settled(made, "delivered", count=2)
        for table, column in (("deliveries", "id"), ("events", "id")):
            await run(
                office,
                f"UPDATE webhooks.{table} SET created_at = now() - interval '31 days'"
                f" WHERE {column} = :id",
                id=UUID(old["id" if table == "deliveries" else "event_id"]),
            )
        async with office.app.parts.database.unit_of_work() as session:
            await enqueue(session, purge)
        async with asyncio.timeout(PATIENCE):
            while [one["id"] for one in await office.deliveries(made)] != [kept["id"]]:  # noqa: ASYNC110 - a worker does it
                await asyncio.sleep(0.02)


async def test_the_shell_shows_and_replays(office: Office, monkeypatch: pytest.MonkeyPatch):
    settings = office.settings
    assert settings.database.url
    assert settings.cache.url
    assert settings.secret_key
    monkeypatch.setenv("DATABASE_URL", settings.database.url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.cache.url.get_secret_value())
    monkeypatch.setenv("SECRET_KEY", settings.secret_key.get_secret_value())

    def shell(*arguments: str) -> Any:
        result = CliRunner().invoke(
            command_line, ["webhooks", *arguments, "--json"], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    async with target(answer(500)) as server:
        made = await office.webhook(server.url())
        await office.admin.post(f"{API}/{made['id']}/ping")
        await office.settled(made, "dead")
        server.reply = answer()
        listed = {line["id"]: line for line in await asyncio.to_thread(shell, "list")}
        assert (listed[made["id"]]["dead"], listed[made["id"]]["name"]) == (1, made["name"])
        since = made["created_at"][:10]
        done = await asyncio.to_thread(shell, "replay", made["id"], "--since", since)
        assert done == {"replayed": 1}
        await office.settled(made, "delivered")
