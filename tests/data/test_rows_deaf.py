"""Rows of a process that hears nothing of changes: behind a pooler, without a `listen_url`."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.fixtures.actors import Caller, unique
from tests.fixtures.app import make_client, running
from undercroft.app import create_app
from undercroft.data.plane import PAUSE_SECONDS
from undercroft.foundation.settings import Settings

ID = [{"name": "id", "type": "bigint", "primary_key": True}]


@pytest_asyncio.fixture
async def deaf(settings: Settings, api_keys: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    pooled = settings.database.model_copy(update={"pooled": True, "listen_url": None})
    app = create_app(settings.model_copy(update={"database": pooled}))
    headers = {"apikey": api_keys["service_role"]}
    async with running(app), make_client(app, headers=headers) as client:
        yield client


async def status(client: httpx.AsyncClient, table: str) -> int:
    return (await client.get(f"/rest/v1/{table}")).status_code


class TestUnknownNames:
    async def test_are_looked_for_once_a_second(self, deaf: httpx.AsyncClient):
        began = time.monotonic()
        for _ in range(3):
            found = await asyncio.gather(*(status(deaf, unique("nothing")) for _ in range(20)))
            assert set(found) == {404}
        assert time.monotonic() - began >= 2 * PAUSE_SECONDS

    async def test_are_found_when_somebody_else_made_them(
        self, deaf: httpx.AsyncClient, admin: Caller
    ):
        for _ in range(2):
            name = unique("new")
            assert await status(deaf, name) == 404
            made = await admin.post("/api/v1/tables", json={"name": name, "columns": ID})
            assert made.status_code == 201, made.text
            assert await status(deaf, name) == 200
