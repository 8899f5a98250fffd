"""`undercroft rest` hears of every change of the schema, however late it begins to listen."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.fixtures.live import eventually
from tests.fixtures.rows import RowsDatabase, make_client
from tests.fixtures.standalone import variables
from undercroft.data.rest.standalone.app import StandaloneApp
from undercroft.data.rest.standalone.environment import read_settings

TABLES = ("latecomers", "stragglers")
END_LISTENING = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where datname = current_database() and query like 'LISTEN%'"
)


class Tardy(StandaloneApp):
    """Something is created just before it listens: at the start, and after a lost connection."""

    def __init__(self, database: RowsDatabase) -> None:
        super().__init__(read_settings(variables(database)))
        self._database = database
        self._left = iter(TABLES)

    async def _hear_until_lost(self, tried: "asyncio.Future[None]") -> None:
        if table := next(self._left, None):
            await self._database.run(f"create table library.{table} (id int)")
            await self._database.run(f"grant select on library.{table} to rows_anon")
        await super()._hear_until_lost(tried)


@pytest_asyncio.fixture
async def tardy(rows_database: RowsDatabase) -> AsyncIterator[Tardy]:
    app = Tardy(rows_database)
    yield app
    await app.stop()
    for table in TABLES:
        await rows_database.run(f"drop table if exists library.{table}")


async def test_what_was_created_before_it_listened_is_read(
    rows_database: RowsDatabase, tardy: Tardy
):
    client = make_client(tardy)

    async def is_known() -> bool:
        return (await client.get("/stragglers")).status_code == 200

    await tardy.start()
    assert (await client.get("/latecomers")).status_code == 200
    assert await rows_database.run(END_LISTENING) == 1
    await eventually(is_known)
