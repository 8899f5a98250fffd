"""Statements that travel together: none is answered too early, and none waits for a slow one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.fixtures.actors import unique
from tests.fixtures.engines import EngineAddresses
from undercroft.foundation.db import (
    UNWAITED,
    ConnectionLost,
    Convoy,
    NotCarried,
    Pipeline,
    StatementFailed,
)


@pytest_asyncio.fixture
async def owner(engines: EngineAddresses) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(engines.superuser_database_url("postgres"))
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def table(owner: "asyncpg.Connection[Any]") -> AsyncIterator[str]:
    name = unique("convoy")
    await owner.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, at pg_lsn, session int)")
    yield name
    await owner.execute(f"DROP TABLE {name}")


@pytest_asyncio.fixture
async def convoy(engines: EngineAddresses) -> AsyncIterator[Convoy]:
    async def connect() -> Pipeline:
        settings = {"synchronous_commit": "on"}  # which that of the tests is not
        return await Pipeline.open(engines.superuser_database_url("postgres"), settings, timeout=5)

    made = Convoy(connect, size=2)
    yield made
    await made.close()


def insert(table: str) -> str:
    return f"""
        WITH made AS (INSERT INTO {table}
            VALUES ($1::int, pg_current_wal_insert_lsn(), pg_backend_pid()) RETURNING id)
        SELECT id, {UNWAITED} FROM made
    """


async def test_what_is_answered_is_on_the_disk(
    convoy: Convoy, table: str, owner: "asyncpg.Connection[Any]"
):
    for start in range(0, 40, 4):
        several = (convoy.run(insert(table), [str(start + n)]) for n in range(4))
        await asyncio.gather(*several)
        late = f"SELECT count(*) FROM {table} WHERE at >= pg_current_wal_flush_lsn()"
        assert await owner.fetchval(late) == 0
    assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 40
    assert await owner.fetchval(f"SELECT count(DISTINCT session) FROM {table}") == 1


async def test_one_that_is_refused_takes_nobody_along(
    convoy: Convoy, table: str, owner: "asyncpg.Connection[Any]"
):
    asked = (convoy.run(insert(table), [number]) for number in ("1", "1", "x", "2", "\0", "3"))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    states = [found.sqlstate if isinstance(found, StatementFailed) else found for found in answers]
    assert states == [None, "23505", "22P02", None, "22021", None]
    assert await owner.fetchval(f"SELECT array_agg(id ORDER BY id) FROM {table}") == [1, 2, 3]


@pytest.mark.parametrize("company", ["aboard", "behind"])
async def test_who_waits_for_a_lock_is_sent_away_where_others_wait_behind(
    convoy: Convoy, table: str, owner: "asyncpg.Connection[Any]", company: str
):
    async with owner.transaction():
        await owner.execute(f"INSERT INTO {table} (id) VALUES (1)")
        slow = [asyncio.create_task(convoy.run(insert(table), ["1"])) for _ in range(3)]
        if company == "behind":  # each of the first has a trip to itself, as far as there are any
            await asyncio.sleep(0)
        others = [asyncio.create_task(convoy.run(insert(table), [str(n)])) for n in range(2, 9)]
        async with asyncio.timeout(20):
            await asyncio.gather(*others)
            answers = await asyncio.gather(*slow[:2], return_exceptions=True)
        assert any(isinstance(answer, NotCarried) for answer in answers)
    await asyncio.gather(*slow, return_exceptions=True)


async def test_who_is_alone_may_wait(convoy: Convoy, table: str, owner: "asyncpg.Connection[Any]"):
    async with owner.transaction():
        await owner.execute(f"INSERT INTO {table} (id) VALUES (1)")
        slow = asyncio.create_task(convoy.run(insert(table), ["1"]))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(slow)
    with pytest.raises(StatementFailed, match="duplicate key"):
        await slow


async def test_code_that_takes_away_what_was_prepared(convoy: Convoy, table: str):
    name = unique("emptied")
    await convoy.run(insert(table), ["1"])
    with pytest.raises(ConnectionLost):
        await convoy.run(f"DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$ -- {name}", [])
    await convoy.run(insert(table), ["2"])


async def test_a_connection_that_ended_is_replaced(
    convoy: Convoy, table: str, owner: "asyncpg.Connection[Any]"
):
    await convoy.run(insert(table), ["1"])
    await owner.execute(f"SELECT pg_terminate_backend(session, 5000) FROM {table}")
    for number in range(2, 12):  # the first of them may still meet the end
        try:
            await convoy.run(insert(table), [str(number)])
            break
        except (ConnectionLost, StatementFailed):
            continue
    assert await owner.fetchval(f"SELECT count(DISTINCT session) FROM {table}") == 2
