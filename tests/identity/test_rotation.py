"""New signing keys and role keys, on a database of their own: nothing else may lose its keys."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import register, settled
from tests.fixtures.app import make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import Application, create_app
from undercroft.foundation.clock import utc_now
from undercroft.foundation.settings import Settings
from undercroft.identity.bootstrap import role_keys
from undercroft.identity.rotation import rotate_keys

ME = "/api/v1/users/me"


@pytest.fixture
def own_settings(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    return make_settings(engines, make_database())


@pytest_asyncio.fixture
async def own_app(own_settings: Settings) -> AsyncIterator[Application]:
    async with running(create_app(own_settings)) as app:
        yield app


@pytest_asyncio.fixture
async def caller(own_app: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with make_client(own_app) as client:
        yield client


async def service_key(app: Application) -> dict[str, str]:
    async with app.parts.database.unit_of_work() as session:
        keys = await role_keys(session, app.parts.keyring)
    return {"apikey": keys["service_role"]}


async def kids(caller: httpx.AsyncClient) -> set[str]:
    published = (await caller.get("/.well-known/jwks.json")).json()["keys"]
    return {key["kid"] for key in published}


async def test_old_tokens_and_keys_keep_working(own_app: Application, caller: httpx.AsyncClient):
    member, headers, before = await register(caller), await service_key(own_app), await kids(caller)
    await rotate_keys(own_app.control.state.identity, now=utc_now())

    async def published() -> bool:
        return before < await kids(caller)

    assert await settled(published)
    assert (await member.get(ME)).status_code == 200
    newer = await register(caller)
    assert (await newer.get(ME)).status_code == 200
    heads = {person.tokens["access_token"].split(".")[0] for person in (member, newer)}
    assert len(heads) == 2
    assert (await caller.get("/api/v1/users", headers=headers)).status_code == 200


async def test_old_key_dies_after_the_longest_token(
    own_app: Application, caller: httpx.AsyncClient
):
    identity = own_app.control.state.identity
    member, headers = await register(caller), await service_key(own_app)
    long_ago = utc_now() - identity.settings.session_token_lifetime - timedelta(minutes=1)
    await rotate_keys(identity, now=long_ago)
    session = {"X-Session-Token": member.tokens["session_token"]}

    async def dead() -> bool:
        return (await caller.get(ME, headers=session)).status_code == 401

    assert await settled(dead)
    newer = await service_key(own_app)
    assert newer != headers
    assert (await caller.get("/api/v1/users", headers=newer)).status_code == 200
