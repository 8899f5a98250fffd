"""Connections over TCP end when the machine of their database falls silent.

No test can cut the power of a machine: these show what the kernel is told to do about it.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import uvloop
from pydantic import SecretStr

from tests.fixtures.engines import EngineAddresses
from tests.fixtures.relay import Relay, relayed
from undercroft.data.wire import TextConnection
from undercroft.foundation.db import (
    ControlConnection,
    Database,
    Pipeline,
    WatchedConnection,
    connect_options,
)
from undercroft.foundation.settings import DatabaseSettings
from undercroft.realtime.changes.stream import ReplicationConnection, StreamBroken

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="options of Linux")
USUAL = (1, 5, 2, 3, 10_000)


@pytest_asyncio.fixture
async def relay(engines: EngineAddresses, database: str) -> AsyncIterator[Relay]:
    async with relayed(engines.superuser_database_url(database)) as relay:
        yield relay


def told(connection: Any) -> tuple[int, ...]:
    tcp = socket.IPPROTO_TCP
    return (
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        connection.getsockopt(tcp, socket.TCP_KEEPIDLE),
        connection.getsockopt(tcp, socket.TCP_KEEPINTVL),
        connection.getsockopt(tcp, socket.TCP_KEEPCNT),
        connection.getsockopt(tcp, socket.TCP_USER_TIMEOUT),
    )


def told_by_driver(connection: Any) -> tuple[int, ...]:
    return told(connection._transport.get_extra_info("socket"))


def told_by_libpq(connection: Any) -> tuple[int, ...]:
    with socket.socket(fileno=os.dup(connection.socket)) as own:  # libpq closes its own
        return told(own)


def options(url: str) -> dict[str, Any]:
    return connect_options(DatabaseSettings(url=SecretStr(url)), application="tests")


@pytest.mark.parametrize("kind", [WatchedConnection, ControlConnection, TextConnection])
async def test_the_driver_s_connections(relay: Relay, kind: type[WatchedConnection]):
    connection = await asyncpg.connect(relay.url, **options(relay.url) | {"connection_class": kind})
    assert told_by_driver(connection) == USUAL
    await connection.close()


def test_who_asks_for_nothing_is_watched():
    assert options("postgresql://db.internal/app")["connection_class"] is WatchedConnection


async def test_the_engine_and_what_it_opens_beside_its_pool(relay: Relay):
    database = Database(DatabaseSettings(url=SecretStr(relay.url)))
    connection = await database.connector("tests")()
    assert told_by_driver(connection) == USUAL
    await connection.close()
    async with database.unit_of_work() as session:
        pooled: Any = await (await session.connection()).get_raw_connection()
        assert told_by_driver(pooled.driver_connection) == USUAL
    await database.dispose()


async def test_a_pool_of_the_driver(relay: Relay):
    pool = asyncpg.create_pool(relay.url, min_size=0, **options(relay.url))
    async with pool, pool.acquire() as lent:
        assert told_by_driver(lent) == USUAL


def test_on_the_loop_that_serves(engines: EngineAddresses, database: str):
    async def connect() -> tuple[int, ...]:
        async with relayed(engines.superuser_database_url(database)) as relay:
            connection = await asyncpg.connect(relay.url, **options(relay.url))
            found = told_by_driver(connection)
            await connection.close()
            return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(connect()) == USUAL


async def test_pipelines(relay: Relay):
    pipeline = await Pipeline.open(relay.url, {}, timeout=5)
    assert told_by_libpq(pipeline._connection) == USUAL
    pipeline.close()


async def test_what_a_url_says_is_kept(relay: Relay):
    url = f"{relay.url}?keepalives_idle=77&tcp_user_timeout=44000"
    pipeline = await Pipeline.open(url, {}, timeout=5)
    assert told_by_libpq(pipeline._connection) == (1, 77, 2, 3, 44_000)
    pipeline.close()


async def test_who_reads_changes(relay: Relay):
    stream = await ReplicationConnection.open(relay.url)
    assert told_by_libpq(stream._connection) == (1, 2, 1, 3, 5_000)
    stream.close()


async def test_sockets_of_this_machine(engines: EngineAddresses, database: str):
    url = engines.superuser_database_url(database)
    connection = await asyncpg.connect(url, **options(url))
    assert await connection.fetchval("select 1") == 1
    found = connection._transport.get_extra_info("socket")
    assert found.family == socket.AF_UNIX
    assert not found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    await connection.close()
    pipeline = await Pipeline.open(url, {}, timeout=5)
    pipeline.close()


async def test_a_copy_may_wait_for_as_long_as_a_lock_is_held(relay: Relay):
    """Postgres reads nothing meanwhile, which the kernel would take for silence."""
    connection = await asyncpg.connect(relay.url, **options(relay.url))
    await connection.execute("create temp table words (word text)")
    during = []

    async def lines() -> AsyncIterator[bytes]:
        during.append(told_by_driver(connection))
        yield b"a\nb\n"

    assert await connection.copy_to_table("words", source=lines()) == "COPY 2"
    assert during == [(*USUAL[:-1], 0)]
    assert told_by_driver(connection) == USUAL

    async def fails() -> AsyncIterator[bytes]:
        yield b"c\n"
        raise ValueError("no more lines")

    with pytest.raises(ValueError, match="no more"):
        await connection.copy_to_table("words", source=fails())
    assert told_by_driver(connection) == USUAL
    assert await connection.fetchval("select count(*) from words") == 2
    await connection.close()


@pytest.mark.parametrize("close", ["connection", "engine"])
async def test_nobody_waits_for_a_goodbye(relay: Relay, close: str):
    database = Database(DatabaseSettings(url=SecretStr(relay.url)))
    ends: dict[str, Callable[[], Awaitable[None]]] = {"engine": database.dispose}
    async with database.unit_of_work() as session:
        await session.connection()
    connection = await database.connector("tests")()
    ends["connection"] = connection.close
    relay.fall_silent()
    async with asyncio.timeout(20):
        await ends[close]()
    connection.terminate()
    assert connection.is_closed()


async def test_others_go_on_while_who_reads_changes_waits_for_an_answer():
    async def end(_: object, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(end, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        with pytest.raises(StreamBroken, match="closed"):
            await ReplicationConnection.open(f"postgresql://{host}:{port}/app")
