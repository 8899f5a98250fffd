"""A cached read is never staler than the last write that was answered."""

import asyncio
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.apps.conftest import Node, OpenNode
from tests.apps.test_catalog import API, author, movie
from tests.fixtures.actors import Caller, unique
from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application
from undercroft.foundation.cache import CachedReads
from undercroft.foundation.embedded.valkey import ValkeyEngine

MINUTE = timedelta(minutes=1)


def on(node: Node, caller: Caller) -> Caller:
    """The same caller at another node."""
    return Caller(node[1], caller.identifier, "", caller.tokens)


def value(text: str) -> Callable[[], Any]:
    async def produce() -> bytes:
        return text.encode()

    return produce


class Reader:
    """Reads and writes one namespace as the routes of an app do."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.namespace = unique("space")

    @property
    def reads(self) -> CachedReads:
        return self.app.parts.cached_reads

    async def get(self, produce: Callable[[], Any]) -> str:
        async with self.app.parts.database.unit_of_work() as session:
            found = await self.reads.get(session, self.namespace, "key", produce, life=MINUTE)
        return found.decode()

    async def write(self) -> None:
        async with self.app.parts.database.unit_of_work() as session:
            await self.reads.written(session, self.namespace)


@pytest.fixture
def reader(app: Application) -> Reader:
    return Reader(app)


class TestOneNode:
    async def test_a_second_read_asks_no_database(
        self, client: httpx.AsyncClient, service: Caller, query_counter: QueryCounter
    ):
        film = await movie(service, (await author(service))["id"])
        paths = [f"{API}/movies/{film['id']}", f"{API}/movies/{film['id']}/author", f"{API}/movies"]
        first = [(await client.get(path)).content for path in paths]
        with query_counter() as count:
            second = [(await client.get(path)).content for path in paths]
        assert first == second
        assert count.statements == []

    async def test_every_kind_of_read_shows_the_write_before_it(
        self, client: httpx.AsyncClient, service: Caller
    ):
        made = await author(service)
        film = await movie(service, made["id"])
        paths = {
            f"{API}/authors/{made['id']}": lambda body: body["age"],
            f"{API}/authors?search={made['name']}": lambda body: body["items"][0]["age"],
            f"{API}/movies/{film['id']}/author": lambda body: body["age"],
        }
        for age in range(20, 26):
            await service.patch(f"{API}/authors/{made['id']}", json={"age": age})
            for path, find in paths.items():
                assert find((await client.get(path)).json()) == age
        await service.delete(f"{API}/movies/{film['id']}")
        assert (await client.get(f"{API}/movies/{film['id']}")).status_code == 404
        works = await client.get(f"{API}/authors/{made['id']}/movies")
        assert works.json()["items"] == []

    async def test_a_slow_reader_cannot_put_back_an_old_value(self, reader: Reader):
        may_go_on, has_read = asyncio.Event(), asyncio.Event()

        async def slowly() -> bytes:
            has_read.set()
            await may_go_on.wait()
            return b"old"

        slow = asyncio.create_task(reader.get(slowly))
        await has_read.wait()
        await reader.write()
        may_go_on.set()
        assert await slow == "old"
        assert await reader.get(value("new")) == "new"
        assert await reader.get(value("newer")) == "new"

    async def test_while_a_write_is_under_way_nothing_is_cached(
        self, app: Application, reader: Reader
    ):
        assert await reader.get(value("before")) == "before"
        async with app.parts.database.unit_of_work() as session:
            await reader.reads.written(session, reader.namespace)
            assert await reader.get(value("during")) == "during"
            assert await reader.get(value("again")) == "again"
        assert await reader.get(value("after")) == "after"

    async def test_a_write_that_is_taken_back_does_no_harm(self, app: Application, reader: Reader):
        async def fail() -> None:
            async with app.parts.database.unit_of_work() as session:
                await reader.reads.written(session, reader.namespace)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await fail()
        assert await reader.get(value("kept")) == "kept"
        assert await reader.get(value("other")) == "kept"

    async def test_many_at_once_are_one_question_to_postgres(self, reader: Reader):
        asked = []
        ping = reader.app.parts.cache.client.ping
        await asyncio.gather(*(ping() for _ in range(50)))  # who had to connect would come late

        async def slowly() -> bytes:
            asked.append(1)
            for _ in range(100):
                await ping()
            return b"found"

        told = await asyncio.gather(*(reader.get(slowly) for _ in range(50)))
        assert told == ["found"] * 50
        assert len(asked) == 1

    @pytest.mark.parametrize("end", ["failure", "hanging up"])
    async def test_who_waits_for_one_that_comes_to_nothing_asks_for_themselves(
        self, reader: Reader, end: str
    ):
        began, may_go_on = asyncio.Event(), asyncio.Event()

        async def fails() -> bytes:
            began.set()
            await may_go_on.wait()
            raise LookupError

        first = asyncio.create_task(reader.get(fails))
        await began.wait()
        others = [asyncio.create_task(reader.get(value("mine"))) for _ in range(3)]
        for _ in range(10):
            await reader.app.parts.cache.client.ping()
        assert not any(other.done() for other in others)
        first.cancel() if end == "hanging up" else may_go_on.set()
        assert await asyncio.gather(*others) == ["mine"] * 3
        with pytest.raises((LookupError, asyncio.CancelledError)):
            await first

    async def test_a_failure_is_not_kept(self, reader: Reader):
        async def fails() -> bytes:
            raise LookupError

        with pytest.raises(LookupError):
            await reader.get(fails)
        assert await reader.get(value("fine")) == "fine"


async def check_never_stale(writers: list[Caller], readers: list[httpx.AsyncClient]) -> None:
    """Many readers beside writers, all of whose answers count from the moment they came."""
    made = await author(writers[0], age=6)
    path = f"{API}/authors/{made['id']}"
    answered, done = 6, False

    async def write() -> None:
        nonlocal answered, done
        for age in range(7, 47):
            writer = writers[age % len(writers)]
            changed = await writer.patch(path, json={"age": age})
            assert changed.status_code == 200, changed.text
            answered = age
        done = True

    async def read(client: httpx.AsyncClient) -> int:
        count = 0
        while not done:
            least = answered
            age = (await client.get(path)).json()["age"]
            assert age >= least
            count += 1
        return count

    counts = await asyncio.gather(write(), *(read(client) for client in readers * 4))
    assert sum(count for count in counts if count) > 40


class TestTwoNodes:
    async def test_no_read_is_staler_than_an_answered_write(
        self, client: httpx.AsyncClient, service: Caller, open_node: OpenNode
    ):
        async with open_node() as other:
            await check_never_stale([service, on(other, service)], [client, other[1]])

    async def test_a_node_that_lost_the_cache_still_makes_the_others_forget(
        self, client: httpx.AsyncClient, service: Caller, open_node: OpenNode
    ):
        made = await author(service, age=40)
        path = f"{API}/authors/{made['id']}"
        assert (await client.get(path)).json()["age"] == 40
        async with open_node("redis://127.0.0.1:1") as cut_off:
            changed = await on(cut_off, service).patch(path, json={"age": 41})
            assert changed.status_code == 200
            assert (await client.get(path)).json()["age"] == 41
            assert (await cut_off[1].get(path)).json()["age"] == 41


class TestWithoutValkey:
    async def test_the_catalogue_serves_and_is_right_when_valkey_is_back(
        self, service: Caller, open_node: OpenNode, own_cache: ValkeyEngine
    ):
        async with open_node(own_cache.url()) as node:
            writer, client = on(node, service), node[1]
            made = await author(writer, age=40)
            path = f"{API}/authors/{made['id']}"
            assert (await client.get(path)).json()["age"] == 40
            own_cache.stop()
            assert (await client.get(path)).json()["age"] == 40
            assert (await client.get(f"{API}/authors")).status_code == 200
            changed = await writer.patch(path, json={"age": 41})
            assert changed.status_code == 200
            assert (await client.get(path)).json()["age"] == 41
            own_cache.launch()
            own_cache.wait_ready()
            assert (await client.get(path)).json()["age"] == 41

    async def test_what_a_restarted_valkey_remembers_is_not_believed(
        self, service: Caller, open_node: OpenNode, own_cache: ValkeyEngine
    ):
        async with open_node(own_cache.url()) as node:
            writer, client = on(node, service), node[1]
            made = await author(writer, age=40)
            path = f"{API}/authors/{made['id']}"
            assert (await client.get(path)).json()["age"] == 40
            await node[0].parts.cache.client.save()
            # Answered and cached, but not in the copy from which the server will start.
            await writer.patch(path, json={"age": 41})
            assert (await client.get(path)).json()["age"] == 41
            assert own_cache._process
            own_cache._process.send_signal(signal.SIGKILL)
            own_cache._process.wait()
            own_cache.launch()
            own_cache.wait_ready()
            # So that the node reconnects without an error that would tell it of the restart.
            await node[0].parts.cache.client.connection_pool.disconnect()
            keys = await node[0].parts.cache.client.keys("*")
            assert any(b"reads" in key for key in keys), "the copy holds the old value"
            assert (await client.get(path)).json()["age"] == 41
