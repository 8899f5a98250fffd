"""Connections of the control plane: who waits gets one in turn, and nobody waits for themselves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from asyncpg import DivisionByZeroError, InvalidSQLStatementNameError
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.fixtures.actors import unique
from tests.fixtures.app import make_client, running
from undercroft.app import create_app
from undercroft.foundation.db import Database
from undercroft.foundation.settings import Settings

API = "/api/v1"


def with_pool(settings: Settings, **changes: object) -> Settings:
    database = settings.database.model_copy(update=changes)
    return settings.model_copy(update={"database": database})


@pytest_asyncio.fixture
async def narrow(settings: Settings) -> AsyncIterator[Database]:
    """A pool of one connection."""
    database = Database(with_pool(settings, pool_size=1).database)
    yield database
    await database.dispose()


async def test_who_waits_comes_before_newcomers(narrow: Database):
    turns: list[int] = []

    async def use(number: int) -> None:
        for _ in range(3):
            async with narrow.unit_of_work() as session:
                await session.execute(text("SELECT 1"))
                turns.append(number)

    await asyncio.gather(*(use(number) for number in range(5)))
    assert turns == [*range(5)] * 3


async def test_who_gives_up_waiting_takes_no_turn(narrow: Database):
    async def use() -> None:
        async with narrow.unit_of_work() as session:
            await session.execute(text("SELECT 1"))

    async with narrow.unit_of_work() as session:
        await session.execute(text("SELECT 1"))
        tired = asyncio.create_task(use())
        await asyncio.sleep(0)
        tired.cancel()
        patient = asyncio.create_task(use())
        await asyncio.sleep(0)
    await patient
    with pytest.raises(asyncio.CancelledError):
        await tired
    await use()


async def test_waiting_has_an_end(settings: Settings):
    short = with_pool(settings, pool_size=1, pool_timeout=timedelta(milliseconds=50))
    database = Database(short.database)
    async with database.unit_of_work() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(PoolTimeout):
            async with database.unit_of_work() as another:
                await another.execute(text("SELECT 1"))
    await database.dispose()


async def test_a_lone_statement_gives_its_connection_back(narrow: Database):
    number = text("SELECT 12 / CAST(:by AS integer) AS found")
    assert (await narrow.run_alone(number, {"by": 4})).found == 3
    with pytest.raises(DivisionByZeroError):
        await narrow.run_alone(number, {"by": 0})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await narrow.run_alone(text("SELECT pg_sleep(60)"), {})
    assert (await narrow.run_alone(number, {"by": 3})).found == 4
    assert await narrow.run_alone(text("SELECT 1 WHERE false"), {}) is None


async def test_a_session_without_its_statements_is_not_used_again(narrow: Database):
    number = text("SELECT 1 AS found")
    await narrow.run_alone(number, {})
    async with narrow.unit_of_work() as session:
        await (await session.connection()).exec_driver_sql("DEALLOCATE ALL")
    with pytest.raises(InvalidSQLStatementNameError):
        await narrow.run_alone(number, {})
    assert (await narrow.run_alone(number, {})).found == 1


async def test_keyed_requests_do_not_wait_for_each_others_second_connection(settings: Settings):
    app = create_app(with_pool(settings, pool_size=3))
    async with running(app), make_client(app) as client:

        async def sign_in() -> httpx.Response:
            body = {"identifier": unique("nobody"), "password": "Wrong-Horse-42"}
            headers = {"Idempotency-Key": unique("key")}
            return await client.post(f"{API}/auth/login", json=body, headers=headers)

        answers = await asyncio.gather(*(sign_in() for _ in range(12)))
    assert {answer.status_code for answer in answers} == {401}


async def test_a_body_that_does_not_come_holds_no_connection(settings: Settings):
    app = create_app(with_pool(settings, pool_size=2))
    coming, begun = asyncio.Event(), (asyncio.Event(), asyncio.Event())

    async def slow(read: asyncio.Event) -> AsyncIterator[bytes]:
        yield b'{"identifier": '
        read.set()
        await coming.wait()
        yield b'"nobody", "password": "Wrong-Horse-42"}'

    async with running(app), make_client(app) as client:

        async def sign_in(read: asyncio.Event) -> httpx.Response:
            headers = {"Idempotency-Key": unique("key"), "Content-Type": "application/json"}
            return await client.post(f"{API}/auth/login", content=slow(read), headers=headers)

        waiting = [asyncio.create_task(sign_in(read)) for read in begun]
        try:
            async with asyncio.timeout(20):
                await asyncio.gather(*(read.wait() for read in begun))
                body = {"identifier": unique("free")}
                free = await client.post(f"{API}/auth/check-user-availability", json=body)
        finally:
            coming.set()
            answers = await asyncio.gather(*waiting)
        assert free.json() == {"available": True}
        assert {answer.status_code for answer in answers} == {401}
