"""What is made while the catalogue at hand is behind, or being read, is found all the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest_asyncio

from tests.data.sql_support import run
from tests.fixtures.actors import Caller, unique
from tests.fixtures.engines import EngineAddresses
from tests.fixtures.live import eventually

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

BATCH = "/rest/v1/batch"
# Readings of the catalogue stand still at this table, with the snapshot that they have.
STOP = "lock table pg_description in access exclusive mode"
STOPPED = (
    "select count(*) from pg_locks join pg_database d on d.oid = database"
    " where datname = current_database() and relation = 'pg_description'::regclass and not granted"
)


@pytest_asyncio.fixture
async def connections(
    engines: EngineAddresses, database: str
) -> "AsyncIterator[tuple[Connection, ...]]":
    url = engines.superuser_database_url(database)
    opened = [await asyncpg.connect(url) for _ in range(3)]
    yield tuple(opened)
    for one in opened:
        await one.close()


class Pausing:
    """A batch that waits in its first step, and calls in its second what is not there yet."""

    def __init__(self, holder: "Connection", admin: Caller, member: Caller) -> None:
        self.made = unique("made")
        self._waits, self._lock = unique("waits"), hash(unique("lock")) % 2**31
        self._holder, self._admin, self._member = holder, admin, member

    async def begin(self) -> asyncio.Task[int]:
        await run(
            self._admin,
            f"create function {self._waits}() returns void language sql"
            f" as 'select pg_advisory_xact_lock({self._lock})';"
            f"grant execute on function {self._waits}() to authenticated",
        )
        assert (await self._member.post(f"/rest/v1/rpc/{self._waits}")).status_code == 204
        await self._holder.execute(f"select pg_advisory_lock({self._lock})")
        batch = asyncio.create_task(self._send())
        waits = f"select count(*) from pg_locks where not granted and objid = {self._lock}"
        await until(self._holder, waits, 1)
        return batch

    async def go_on(self) -> None:
        await self._holder.execute(f"select pg_advisory_unlock({self._lock})")

    async def _send(self) -> int:
        steps = [{"op": "call", "function": name} for name in (self._waits, self.made)]
        return (await self._member.post(BATCH, json=steps)).status_code


def making(name: str) -> str:
    return (
        f"create function {name}() returns int language sql as 'select 7';"
        f"grant execute on function {name}() to authenticated"
    )


async def until(connection: "Connection", query: str, count: int) -> None:
    async def reached() -> bool:
        return bool(await connection.fetchval(query) == count)

    await eventually(reached)


async def test_what_is_made_while_a_batch_runs(
    connections: "tuple[Connection, ...]", admin: Caller, member: Caller
):
    pausing = Pausing(connections[0], admin, member)
    batch = await pausing.begin()
    await run(admin, making(pausing.made))
    assert (await member.post(f"/rest/v1/rpc/{pausing.made}")).json() == 7
    await pausing.go_on()
    assert await batch == 200


async def test_what_is_made_after_the_snapshot_of_a_reading_that_ends_while_a_batch_runs(
    connections: "tuple[Connection, ...]", admin: Caller, member: Caller
):
    holder, *stops = connections
    pausing = Pausing(holder, admin, member)
    batch = await pausing.begin()
    first, second = (stop.transaction() for stop in stops)
    await first.start()
    await stops[0].execute(STOP)
    await holder.execute("notify pgrst")
    await until(holder, STOPPED, 1)
    await holder.execute(making(pausing.made))
    await second.start()
    queued = asyncio.create_task(stops[1].execute(STOP))
    await until(holder, STOPPED, 2)
    await first.rollback()  # the reading ends, and the next, which sees the function, stands still
    await queued
    await until(holder, STOPPED, 1)
    await pausing.go_on()
    await asyncio.wait([batch], timeout=0.3)
    await second.rollback()
    assert await batch == 200
