"""Quick reads at the same time share a session, and nobody notices but the server."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from tests.fixtures.rows import MakeRowsApp, RowsDatabase, make_client
from undercroft.data.rest.sharing import Pace, Shared
from undercroft.foundation.db import Pipeline

READER, BOOK, BRANCH = "/readers?id=eq.1", "/books?id=eq.1&select=id", "/branches?select=id"


class Connections:
    """Those that an app has opened, so that a test can count them and look at their processes."""

    def __init__(self, database: RowsDatabase) -> None:
        self._database = database
        self.opened: list[Pipeline] = []

    async def open(self) -> Pipeline:
        self.opened.append(await self._database.open())
        return self.opened[-1]


@pytest_asyncio.fixture
async def connections(rows_database: RowsDatabase) -> Connections:
    return Connections(rows_database)


@pytest_asyncio.fixture
async def client(
    make_rows_app: MakeRowsApp, connections: Connections
) -> AsyncIterator[httpx.AsyncClient]:
    """Of an app to which whatever it has seen before is quick, as three reads."""
    app = await make_rows_app(size=8, connect=connections.open, together=60)
    async with make_client(app) as client:
        for path in (READER, BOOK, BRANCH):
            assert (await client.get(path)).status_code == 200
        assert len(connections.opened) == 1
        yield client


@asynccontextmanager
async def locked(database: RowsDatabase, table: str) -> AsyncIterator["asyncpg.Connection"]:
    """Nobody reads the table meanwhile."""
    connection = await asyncpg.connect(database._superuser_url)
    try:
        async with connection.transaction():
            await connection.execute(f"lock table {table}")
            yield connection
    finally:
        await connection.close()


async def until_waiting(database: RowsDatabase, wanted: int) -> None:
    waiting = (
        "select count(*) from pg_locks where not granted and relation = 'library.readers'::regclass"
    )
    async with asyncio.timeout(30):
        while await database.run(waiting) != wanted:  # noqa: ASYNC110 - another process waits
            await asyncio.sleep(0.02)


async def status(request: Awaitable[httpx.Response]) -> int:
    async with asyncio.timeout(30):
        return (await request).status_code


async def statuses(requests: list[Awaitable[httpx.Response]]) -> list[int]:
    return await asyncio.gather(*map(status, requests))


async def test_quick_reads_need_one_connection(client: httpx.AsyncClient, connections: Connections):
    assert await statuses([client.get(READER) for _ in range(6)]) == [200] * 6
    assert len(connections.opened) == 1


async def test_nobody_waits_for_a_read_that_is_held_up(
    client: httpx.AsyncClient, rows_database: RowsDatabase
):
    async with locked(rows_database, "library.readers"):
        held = asyncio.create_task(client.get(READER))
        assert await statuses([client.get(path) for path in (BOOK, BRANCH) * 3]) == [200] * 6
        await until_waiting(rows_database, 1)
        assert not held.done()
    assert (await held).json() == [{"id": 1, "name": "Ada"}]
    assert (await client.get(READER)).status_code == 200


async def test_who_leaves_takes_nobody_along(
    client: httpx.AsyncClient, rows_database: RowsDatabase
):
    async with locked(rows_database, "library.readers"):
        leaving = asyncio.create_task(client.get(READER))
        behind = [asyncio.create_task(status(client.get(BOOK))) for _ in range(5)]
        await until_waiting(rows_database, 1)
        leaving.cancel()
        assert await asyncio.gather(*behind) == [200] * 5
        await until_waiting(rows_database, 0)  # nor goes on without its client
    assert await statuses([client.get(READER) for _ in range(5)]) == [200] * 5


async def test_who_fails_fails_alone(client: httpx.AsyncClient):
    paths = ["/readers?id=eq.one", READER, "/secrets", BOOK, "/readers?id=eq.two", BRANCH]
    for _ in range(5):
        answers = await statuses([client.get(path) for path in paths])
        assert answers == [400, 200, 404, 200, 400, 200]


async def test_a_connection_that_ends_under_many(
    client: httpx.AsyncClient, rows_database: RowsDatabase
):
    async with locked(rows_database, "library.readers"):
        held = [asyncio.create_task(client.get(READER)) for _ in range(2)]
        behind = [asyncio.create_task(status(client.get(BOOK))) for _ in range(4)]
        await until_waiting(rows_database, 1)
        await rows_database.run(
            "select count(pg_terminate_backend(pid)) from pg_locks"
            " where not granted and relation = 'library.readers'::regclass"
        )
        assert await asyncio.gather(*behind) == [200] * 4
    assert (await held[0]).status_code == 503
    assert (await held[1]).status_code == 200


async def test_answers_go_to_who_asked(make_rows_app: MakeRowsApp, connections: Connections):
    """Two people, shapes old and new, mistakes and departures, all through two sessions."""
    chance = random.Random(1)
    app = await make_rows_app(size=2, connect=connections.open, together=60)

    async def read(client: httpx.AsyncClient) -> None:
        owner, number = chance.choice(["ada", "ben"]), chance.randrange(1, 4)
        headers = {"Authorization": f"rows_member {owner}"}
        kind = chance.randrange(4)
        if kind == 0:
            rows = (await client.get("/diaries", headers=headers)).json()
            assert {row["owner"] for row in rows} == {owner}
        elif kind == 1:
            rows = (await client.get(f"/readers?id=eq.{number}", headers=headers)).json()
            assert [row["id"] for row in rows] == [number]
        elif kind == 2:
            shape = "&".join(["select=id", *["order=id"] * chance.randrange(2), f"id=lt.{number}"])
            rows = (await client.get(f"/books?{shape}", headers=headers)).json()
            assert all(row["id"] < number for row in rows)
        else:
            answer = await client.get(f"/readers?id=eq.x{number}", headers=headers)
            assert f'"x{number}"' in answer.json()["message"]

    async with make_client(app) as client, asyncio.timeout(60):
        for _ in range(20):
            tasks = [asyncio.create_task(read(client)) for _ in range(30)]
            await asyncio.sleep(0)
            leaving = chance.sample(tasks, 3)
            for task in leaving:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert result is None or isinstance(result, asyncio.CancelledError), result


def test_reads_of_one_shape_at_once_are_one_observation():
    """Else the eight of them halve what is expected eight times."""
    session: Any = SimpleNamespace(pipeline=SimpleNamespace(took=0.004))
    pace = Pace()
    pace.note(0.001)
    Shared(session).note([pace] * 8, 0.008)
    assert pace.seconds == pytest.approx(0.00075)
