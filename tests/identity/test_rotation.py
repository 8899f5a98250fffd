"""New signing keys and role keys, on a database of their own: nothing else may lose its keys."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import cast

import httpx
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession

from tests.fixtures.actors import register, settled
from tests.fixtures.app import make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import Application, create_app
from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import Database
from undercroft.foundation.settings import Settings
from undercroft.identity.auth.errors import InvalidToken
from undercroft.identity.auth.gate import Credentials, Gate
from undercroft.identity.auth.keys import Keys
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
    await rotate_keys(identity, now=long_ago(own_app))
    session = {"X-Session-Token": member.tokens["session_token"]}

    async def dead() -> bool:
        return (await caller.get(ME, headers=session)).status_code == 401

    assert await settled(dead)
    newer = await service_key(own_app)
    assert newer != headers
    assert (await caller.get("/api/v1/users", headers=newer)).status_code == 200


class Slow:
    """A database whose first answer stays on the way until `go`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.answered, self.go = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[AsyncSession]:
        async with self._database.unit_of_work() as session:
            yield session
        self.answered.set()
        await self.go.wait()


def long_ago(app: Application) -> datetime:
    """When a rotation would have retired by now what was before it."""
    lifetime = app.control.state.identity.settings.session_token_lifetime
    return utc_now() - lifetime - timedelta(minutes=1)


async def test_a_key_that_retires_while_it_is_read_is_not_kept(own_app: Application):
    identity = own_app.control.state.identity
    slow = Slow(own_app.parts.database)
    keys = Keys(cast("Database", slow), identity.keyring)
    old = await identity.keys.newest()
    reading = asyncio.create_task(keys.newest())
    await slow.answered.wait()
    await rotate_keys(identity, now=long_ago(own_app))
    keys.forget()  # as the announcement does
    slow.go.set()
    assert (await reading).kid != old.kid
    assert await keys.find(old.kid) is None


async def test_where_nothing_is_heard_a_retired_key_dies_within_a_second(own_app: Application):
    identity = own_app.control.state.identity
    keys = Keys(own_app.parts.database, identity.keyring, hears=lambda: False)
    old = await keys.newest()
    await rotate_keys(identity, now=long_ago(own_app))

    async def gone() -> bool:
        return await keys.find(old.kid) is None and (await keys.newest()).kid != old.kid

    assert await settled(gone)


async def test_a_token_whose_key_retires_while_its_session_is_read_is_refused(
    own_app: Application, caller: httpx.AsyncClient
):
    identity, listener = own_app.control.state.identity, own_app.parts.listener
    token = (await register(caller)).tokens["access_token"]
    assert await settled(listener.catch_up)
    slow = Slow(own_app.parts.database)
    gate = Gate(cast("Database", slow), identity.tokens, listener, identity.settings)
    asking = asyncio.create_task(gate.admit(Credentials(token)))
    await slow.answered.wait()
    await rotate_keys(identity, now=long_ago(own_app))
    assert await settled(listener.catch_up)
    slow.go.set()
    with pytest.raises(InvalidToken):
        await asking
