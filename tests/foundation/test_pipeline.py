"""Several statements in one round trip, and every way in which that can end."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import uvloop

from tests.fixtures.engines import EngineAddresses
from undercroft.foundation.db import (
    ConnectionLost,
    PasswordRefused,
    Pipeline,
    StatementFailed,
    encode,
)


@pytest_asyncio.fixture
async def pipeline(engines: EngineAddresses) -> AsyncIterator[Pipeline]:
    settings = {"application_name": "tests", "search_path": '"a b", pg_catalog', "custom.x": "\\ y"}
    opened = await Pipeline.open(engines.superuser_database_url("postgres"), settings, timeout=5)
    yield opened
    opened.close()


async def ask(pipeline: Pipeline, sql: str, *values: str | None) -> bytes | None:
    pipeline.query(sql, encode(values))
    return (await pipeline.sync())[-1].get_value(0, 0)


def test_a_server_that_ends_with_something_unread(engines: EngineAddresses):
    """libuv says nothing more of such a socket, and nobody may wait for ever."""
    url = engines.superuser_database_url("postgres")

    async def end_under_three() -> list[object]:
        pipeline, other = [await Pipeline.open(url, {}, timeout=5) for _ in range(2)]
        number = int.from_bytes(await ask(pipeline, "select pg_backend_pid()") or b"")
        answers = []
        for seconds in (60, 0, 0):
            pipeline.query("select pg_sleep($1)", encode([str(seconds)]))
            answers.append(pipeline.sync())
            await asyncio.sleep(0.05)  # the server sleeps and reads no more
        await ask(other, "select pg_terminate_backend($1, 5000)", str(number))
        other.close()
        async with asyncio.timeout(10):
            return await asyncio.gather(*answers, return_exceptions=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        first, *others = runner.run(end_under_three())
    assert isinstance(first, StatementFailed)
    assert all(isinstance(other, ConnectionLost) for other in others)


async def test_settings_of_the_session(pipeline: Pipeline):
    assert await ask(pipeline, "show application_name") == b"tests"
    assert await ask(pipeline, "show search_path") == b'"a b", pg_catalog'
    assert await ask(pipeline, "show custom.x") == b"\\ y"


async def test_what_goes_together_is_one_transaction(pipeline: Pipeline):
    pipeline.query("select set_config('custom.x', 'local', true)")
    pipeline.prepare("shown", "select current_setting('custom.x')")
    pipeline.execute("shown")
    answers = await pipeline.sync()
    assert answers[-1].get_value(0, 0) == b"local"
    pipeline.execute("shown")
    assert (await pipeline.sync())[0].get_value(0, 0) == b"\\ y"
    assert pipeline.at_rest


async def test_values_are_read_by_the_type_of_their_place(pipeline: Pipeline):
    assert await ask(pipeline, "select ($1::int + 1)::text", "41") == b"42"
    assert await ask(pipeline, "select 'é' || $1", "ü") == "éü".encode()
    assert await ask(pipeline, "select $1::text", None) is None


async def test_a_failure_says_where_and_undoes_all(pipeline: Pipeline):
    pipeline.query("create temp table kept (n int)")
    await pipeline.sync()
    pipeline.query("insert into pg_temp.kept values (1)")
    pipeline.query("select 1 / $1::int", encode(["0"]))
    pipeline.query("insert into pg_temp.kept values (2)")
    with pytest.raises(StatementFailed) as failure:
        await pipeline.sync()
    assert (failure.value.sqlstate, failure.value.position) == ("22012", 1)
    assert failure.value.message == "division by zero"
    assert await ask(pipeline, "select count(*)::text from pg_temp.kept") == b"0"


async def test_a_failure_of_the_commit(pipeline: Pipeline):
    pipeline.query("create temp table once (n int unique deferrable initially deferred)")
    await pipeline.sync()
    pipeline.query("insert into pg_temp.once values (1), (1)")
    with pytest.raises(StatementFailed) as failure:
        await pipeline.sync()
    assert (failure.value.sqlstate, failure.value.position) == ("23505", 1)
    assert "(n)=(1)" in (failure.value.detail or "")
    assert pipeline.at_rest


async def test_a_transaction_of_several_trips(pipeline: Pipeline):
    pipeline.query("begin")
    await pipeline.sync()
    assert not pipeline.at_rest
    assert await ask(pipeline, "select set_config('custom.x', 'kept', true)") == b"kept"
    assert await ask(pipeline, "show custom.x") == b"kept"
    pipeline.query("rollback")
    await pipeline.sync()
    assert pipeline.at_rest


async def test_more_than_a_socket_takes_at_once(pipeline: Pipeline):
    text = "x" * 8_000_000
    assert await ask(pipeline, "select $1::text", text) == text.encode()


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_text_can_be(value: str):
    with pytest.raises(StatementFailed) as failure:
        encode([value])
    assert failure.value.sqlstate == "22021"


async def test_nobody_to_connect_to():
    with pytest.raises(ConnectionLost):
        await Pipeline.open("host=127.0.0.1 port=1 user=a dbname=a", {}, timeout=2)


async def test_the_server_ends_the_connection(pipeline: Pipeline, engines: EngineAddresses):
    pid = (await ask(pipeline, "select pg_backend_pid()::text") or b"").decode()
    pipeline.query("select pg_sleep(30)")
    answer = pipeline.sync()
    await asyncio.to_thread(engines.execute, f"select pg_terminate_backend({pid})")
    with pytest.raises(StatementFailed) as failure:
        await answer
    assert failure.value.sqlstate == "57P01"
    with pytest.raises(ConnectionLost):
        await ask(pipeline, "select 1")
    assert pipeline.closed


async def test_a_connection_that_rests_notices_its_end(
    pipeline: Pipeline, engines: EngineAddresses
):
    pid = (await ask(pipeline, "select pg_backend_pid()::text") or b"").decode()
    await asyncio.to_thread(engines.execute, f"select pg_terminate_backend({pid})")
    async with asyncio.timeout(30):
        while not pipeline.closed:  # noqa: ASYNC110 - the server closes it
            await asyncio.sleep(0.01)


async def test_cancelling(pipeline: Pipeline, engines: EngineAddresses):
    pipeline.query("select pg_sleep(30)")
    answer = pipeline.sync()
    assert pipeline.busy
    await pipeline.cancel()
    with pytest.raises((ConnectionLost, StatementFailed)):
        await answer
    assert pipeline.closed


async def test_a_wrong_password(engines: EngineAddresses):
    url = urlsplit(engines.superuser_database_url("postgres"))
    wrong = url._replace(netloc=url.netloc.replace(f":{url.password}@", ":wrong@"))
    with pytest.raises(PasswordRefused):
        await Pipeline.open(wrong.geturl(), {}, timeout=5)


async def test_a_server_that_talks_nonsense():
    """Its connection ends, and nothing spins on it."""
    greeting = b"R\0\0\0\x08\0\0\0\0" + b"K\0\0\0\x0c\0\0\0\1\0\0\0\1" + b"Z\0\0\0\x05I"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(4))
        await reader.readexactly(length - 4)
        writer.write(greeting)
        await reader.read(1)
        writer.write(b"1\0\0\0\x04" + b"T\0\0\0\x07\0\1\0" + b"Z\0\0\0\1")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        where = f"host=127.0.0.1 port={port} user=a dbname=a sslmode=disable gssencmode=disable"
        opened = await Pipeline.open(where, {}, timeout=5)
        opened.query("select 1")
        with pytest.raises((ConnectionLost, StatementFailed)):
            await opened.sync()
        assert opened.closed


async def test_transactions_that_do_not_wait_for_each_other(pipeline: Pipeline):
    answers = []
    for divisor in ("1", "0", "2"):
        pipeline.query("select set_config('custom.x', $1, true)", encode([divisor]))
        pipeline.query(
            "select (2 / $1::int)::text || current_setting('custom.x')", encode([divisor])
        )
        answers.append(pipeline.sync())
    first, refused, last = await asyncio.gather(*answers, return_exceptions=True)
    assert first[-1].get_value(0, 0) == b"21"
    assert isinstance(refused, StatementFailed)
    assert refused.position == 1
    assert last[-1].get_value(0, 0) == b"12"
    assert pipeline.at_rest


async def test_who_waits_behind_another_may_be_told_so(pipeline: Pipeline):
    answers = []
    for seconds in ("0.2", "0", "0"):
        pipeline.query("select pg_sleep($1::float8)", encode([seconds]))
        answers.append(pipeline.sync())
    pipeline.hold_up(TimeoutError())
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    assert [isinstance(outcome, TimeoutError) for outcome in outcomes] == [False, True, True]
    assert await ask(pipeline, "select 'next'") == b"next"


async def test_all_who_wait_hear_of_a_lost_connection(pipeline: Pipeline):
    answers = []
    for _ in range(3):
        pipeline.query("select pg_sleep(30)")
        answers.append(pipeline.sync())
    pipeline.close()
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    assert all(isinstance(outcome, ConnectionLost) for outcome in outcomes)
