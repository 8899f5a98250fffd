"""An application and a worker that may call this machine, and webhooks in a hurry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, register, sign_in, unique
from tests.fixtures.app import SUPERUSER, make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import Application, create_app, open_workplace
from undercroft.foundation.jobs import work
from undercroft.foundation.jobs.worker import house
from undercroft.foundation.settings import OutboundSettings, Settings, WebhookSettings

API = "/api/v1/webhooks"
PATIENCE = 60
HASTE = WebhookSettings(
    timeout=timedelta(seconds=20),  # a machine may stand still while a call is on its way
    max_attempts=3,
    first_retry=timedelta(milliseconds=5),
    longest_retry=timedelta(milliseconds=20),
    longest_pause=timedelta(milliseconds=20),
    max_per_organization=100,
)


@dataclass
class Office:
    """Where webhooks are managed and sent from."""

    app: Application
    settings: Settings
    client: httpx.AsyncClient
    admin: Caller

    async def person(self, name: str = "person") -> Caller:
        return await register(self.client, name)

    async def webhook(self, url: str, *events: str, **more: Any) -> dict[str, Any]:
        body = {"name": unique("hook"), "url": url, "events": list(events)} | more
        made = await self.admin.post(API, json=body)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def deliveries(self, webhook: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
        found = await self.admin.get(f"{API}/{webhook['id']}/deliveries", params=params)
        assert found.status_code == 200, found.text
        return list(found.json()["items"])

    async def settled(self, webhook: dict[str, Any], state: str, count: int = 1) -> Any:
        """Wait until so many deliveries of a webhook are in a state; return them."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.deliveries(webhook, state=state, limit=100)
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)

    async def read(self, webhook: dict[str, Any]) -> dict[str, Any]:
        return dict((await self.admin.get(f"{API}/{webhook['id']}")).json())


@asynccontextmanager
async def an_office(settings: Settings) -> AsyncIterator[Office]:
    """With a worker of its own."""
    stop = asyncio.Event()
    async with (
        running(create_app(settings)) as app,
        make_client(app) as client,
        open_workplace(settings) as workplace,
    ):
        working = [asyncio.create_task(work(settings, workplace, stop))]
        working += [asyncio.create_task(house(resident, stop)) for resident in workplace.residents]
        yield Office(app, settings, client, await sign_in(client, SUPERUSER))
        stop.set()
        await asyncio.gather(*working)


def office_settings(engines: EngineAddresses, database: str, hooks: WebhookSettings) -> Settings:
    return make_settings(engines, database).model_copy(
        update={
            "outbound": OutboundSettings(allowed_networks=("127.0.0.0/8",)),
            "webhooks": hooks,
        }
    )


@pytest.fixture(scope="session")
def in_haste(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    return office_settings(engines, make_database(), HASTE)


@pytest_asyncio.fixture(scope="session")
async def office(in_haste: Settings) -> AsyncIterator[Office]:
    async with an_office(in_haste) as office:
        yield office


@pytest.fixture
def impatience(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    hooks = HASTE.model_copy(update={"timeout": timedelta(seconds=1)})
    return office_settings(engines, make_database(), hooks)


@pytest_asyncio.fixture
async def impatient(impatience: Settings) -> AsyncIterator[Office]:
    """One whose calls may take a second."""
    async with an_office(impatience) as office:
        yield office
