"""`undercroft rest` hears of every change of the schema, however late it begins to listen."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fixtures.live import eventually
from tests.fixtures.rows import RowsDatabase, make_client
from tests.fixtures.standalone import variables
from undercroft.data.rest.standalone.app import StandaloneApp
from undercroft.data.rest.standalone.environment import read_settings
from undercroft.data.schema import SchemaCache

TABLES = ("latecomers", "stragglers")
RELOAD = "notify pgrst, 'reload schema'"
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
            await create(self._database, table)
        await super()._hear_until_lost(tried)


class Outdated(StandaloneApp):
    """Something is created and told after the snapshot of its first reading."""

    def __init__(self, database: RowsDatabase) -> None:
        super().__init__(read_settings(variables(database)))
        self._database, self._is_first = database, True

    async def _read_schema(self, schemas: SchemaCache) -> None:
        await super()._read_schema(schemas)
        if self._is_first:
            self._is_first = False
            await create(self._database, TABLES[0])
            await self._database.run(RELOAD)
            await asyncio.sleep(0.3)  # for who would read meanwhile


@pytest_asyncio.fixture
async def app(
    rows_database: RowsDatabase, request: pytest.FixtureRequest
) -> AsyncIterator[StandaloneApp]:
    app: StandaloneApp = request.param(rows_database)
    yield app
    await app.stop()
    for table in TABLES:
        await rows_database.run(f"drop table if exists library.{table}")


async def create(database: RowsDatabase, table: str) -> None:
    await database.run(f"create table library.{table} (id int)")
    await database.run(f"grant select on library.{table} to rows_anon")


async def knows(app: StandaloneApp, table: str) -> bool:
    return (await make_client(app).get(f"/{table}")).status_code == 200


@pytest.mark.parametrize("app", [Tardy], indirect=True)
async def test_what_was_created_before_it_listened_is_read(
    rows_database: RowsDatabase, app: StandaloneApp
):
    await app.start()
    assert await knows(app, "latecomers")
    assert await rows_database.run(END_LISTENING) == 1
    await eventually(lambda: knows(app, "stragglers"))


@pytest.mark.parametrize("app", [Outdated], indirect=True)
async def test_what_was_created_while_it_read_is_read(app: StandaloneApp):
    await app.start()
    await eventually(lambda: knows(app, "latecomers"), 10)


@pytest.mark.parametrize("app", [Outdated], indirect=True)
async def test_what_could_not_be_read_is_read_later(
    rows_database: RowsDatabase, app: StandaloneApp
):
    async def is_ready() -> bool:
        return app.ready

    async def is_not_ready() -> bool:
        return not app.ready

    await app.start()
    await eventually(lambda: knows(app, "latecomers"))
    limit = f"alter database {rows_database.name} connection limit"
    await rows_database.run(f"{limit} 0")
    try:
        await create(rows_database, TABLES[1])
        await rows_database.run(RELOAD)
        await eventually(is_not_ready)
    finally:
        await rows_database.run(f"{limit} -1")
    await eventually(is_ready)
    assert await knows(app, "stragglers")
