"""The realtime clients that people have, unchanged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest_asyncio

from realtime import AsyncRealtimeClient, RealtimeSubscribeStates
from tests.contracts.conftest import RunNode, Shop

OpenClient = Callable[[], Awaitable[AsyncRealtimeClient]]


def test_realtime_js_and_supabase_js_work_unchanged(run_node: RunNode):
    run_node("live.test.mjs")


@pytest_asyncio.fixture
async def open_client(shop: Shop) -> AsyncIterator[OpenClient]:
    opened: list[AsyncRealtimeClient] = []

    async def open_client() -> AsyncRealtimeClient:
        client = AsyncRealtimeClient(f"{shop.url}/realtime/v1", shop.anon_key)
        opened.append(client)
        await client.connect()
        return client

    yield open_client
    await asyncio.gather(*(client.close() for client in opened))


@pytest_asyncio.fixture
async def service(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    bearer = {"Authorization": f"Bearer {shop.service_key}"}
    async with httpx.AsyncClient(base_url=shop.url, headers=bearer, timeout=30) as client:
        yield client


async def subscribed(channel: Any) -> None:
    states: list[Any] = []
    await channel.subscribe(lambda state, error: states.append((state, error)))
    assert states[-1] == (RealtimeSubscribeStates.SUBSCRIBED, None), states


class TestRealtimePy:
    async def test_follows_a_table_as_its_user(
        self, shop: Shop, open_client: OpenClient, service: httpx.AsyncClient
    ):
        assert (await service.put("/api/v1/realtime/tables/goods")).status_code == 200
        client = await open_client()
        await client.set_auth(shop.access_token)
        heard: asyncio.Queue[Any] = asyncio.Queue()
        ready = asyncio.Event()
        channel = client.channel("goods")
        channel.on_postgres_changes("*", heard.put_nowait, table="goods", filter="id=gte.5000")
        channel.on_system(lambda _payload: ready.set())
        await subscribed(channel)
        async with asyncio.timeout(20):
            await ready.wait()
            for owner, number in ((shop.user_id, 5000), (None, 5001)):
                row = {"id": number, "name": "Salt", "owner": owner}
                assert (await service.post("/rest/v1/goods", json=row)).status_code == 201
            gone = await service.delete("/rest/v1/goods?id=gte.5000")
            assert gone.status_code == 204
            first, second = await heard.get(), await heard.get()
        assert first["data"]["record"]["name"] == "Salt"
        assert (second["data"]["type"], second["data"]["old_record"]["id"]) == ("DELETE", 5000)
        assert heard.empty()
        await channel.unsubscribe()

    async def test_broadcasts_by_socket_and_by_http(self, open_client: OpenClient):
        alice, bob = await open_client(), await open_client()
        heard: asyncio.Queue[Any] = asyncio.Queue()
        sending, hearing = alice.channel("py-chat"), bob.channel("py-chat")
        hearing.on_broadcast("hello", heard.put_nowait)
        await subscribed(sending)
        await subscribed(hearing)
        await sending.send_broadcast("hello", {"n": 1})
        async with asyncio.timeout(20):
            assert (await heard.get())["payload"] == {"n": 1}
            await sending.http_send("hello", {"n": 2})
            assert (await heard.get())["payload"] == {"n": 2}
        await alice.remove_channel(sending)
        await bob.remove_all_channels()

    async def test_shows_presence(self, open_client: OpenClient):
        alice, bob = await open_client(), await open_client()
        options: Any = {"config": {"presence": {"key": "alice", "enabled": True}}}
        here, there = alice.channel("py-presence", options), bob.channel("py-presence")
        joined: asyncio.Queue[Any] = asyncio.Queue()
        there.on_presence_sync(lambda: None)
        there.on_presence_join(lambda *news: joined.put_nowait(news))
        there.on_presence_leave(lambda *news: joined.put_nowait(news))
        await subscribed(there)
        await subscribed(here)
        await here.track({"mood": "fine"})
        async with asyncio.timeout(20):
            assert (await joined.get())[0] == "alice"
            assert there.presence_state()["alice"][0]["mood"] == "fine"
            await here.untrack()
            assert (await joined.get())[0] == "alice"
        assert there.presence_state() == {}
