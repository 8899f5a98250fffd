"""What an account, and an organization by its keys, may send however many sockets they open."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.fixtures.actors import Caller, unique
from tests.fixtures.app import running
from tests.fixtures.live import Line, LiveServer, eventually
from undercroft.app import create_app
from undercroft.foundation.settings import Settings

API = "/api/v1"
# Messages of a caller within the seconds that `Rates` averages over.
SHARE = 5
MESSAGE = {"type": "broadcast", "event": "hi", "payload": {}}
Speak = Callable[[], Awaitable[dict[str, Any]]]
OpenLine = Callable[..., Awaitable[Speak]]


@pytest_asyncio.fixture
async def server(settings: Settings) -> AsyncIterator[LiveServer]:
    """A server where a share is one message a second, and no reader may be behind."""
    tight = {"messages_per_second_per_caller": 1, "max_slot_lag": 2}
    realtime = settings.realtime.model_copy(update=tight)
    small = settings.model_copy(update={"realtime": realtime})
    async with running(create_app(small)) as app:
        server = LiveServer(app, small)
        await server.start()
        yield server
        await server.stop()


@pytest_asyncio.fixture
async def speaker(server: LiveServer, api_keys: dict[str, str]) -> AsyncIterator[OpenLine]:
    """`await speaker()` joins a room by a socket of its own.

    What it returns sends a message and returns the answer.
    """
    opened = []

    async def open_line(key: str | None = None, token: str | None = None) -> Speak:
        connection = await connect(server.socket_url(key or api_keys["anon"]))
        opened.append(connection)
        line, room = Line(connection), unique("room")
        joined = await line.join(room, token=token, broadcast={"ack": True})
        assert joined["status"] == "ok", joined
        return lambda: line.ask(f"realtime:{room}", "broadcast", MESSAGE)

    yield open_line
    for connection in opened:
        await connection.close()


async def together(first: Speak, second: Speak) -> bool:
    """Whether the second is refused because of what the first has sent.

    The time over which messages are averaged may end between the two; hence several tries, of which
    the second alone may make all.
    """
    for _ in range(4):
        for _ in range(2 * SHARE):
            await first()
        refused = await second()
        if refused["status"] == "error":
            reason = refused["response"]["reason"]
            assert reason == "ClientMessageRateLimitReached: Too many messages"
            return True
    return False


async def test_an_account_sends_so_much_by_all_its_sockets(
    speaker: OpenLine, member: Caller, outsider: Caller
):
    mine, theirs = (str(one.tokens["access_token"]) for one in (member, outsider))
    first, second, other = [await speaker(token=token) for token in (mine, mine, theirs)]
    assert await together(first, second)
    assert (await other())["status"] == "ok"


async def test_the_anon_key_sends_so_much_from_an_address(
    speaker: OpenLine, api_keys: dict[str, str]
):
    first, second = await speaker(), await speaker()
    service = await speaker(api_keys["service_role"])
    assert await together(first, second)
    assert [(await service())["status"] for _ in range(2 * SHARE)] == ["ok"] * 2 * SHARE


async def test_by_http_counts_as_well(server: LiveServer, api_keys: dict[str, str]):
    messages = [{"topic": "x", "event": "hi", "payload": {}}] * (2 * SHARE)
    async with httpx.AsyncClient(base_url=server.url) as client:
        for role, status in (("anon", 429), ("service_role", 202)):
            sent = await client.post(
                "/realtime/v1/api/broadcast",
                json={"messages": messages},
                headers={"apikey": api_keys[role]},
            )
            assert sent.status_code == status, sent.text
            assert ("retry-after" in sent.headers) is (status == 429)


async def test_a_reader_that_falls_behind_is_told_by_health(
    server: LiveServer,
    service: Caller,
    api_keys: dict[str, str],
    owner: "asyncpg.Connection[Any]",
    reader: None,
):
    name = unique("wares")
    await owner.execute(f"CREATE TABLE {name} (id int)")
    assert (await service.put(f"{API}/realtime/tables/{name}")).status_code == 200
    headers = {"apikey": api_keys["service_role"]}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:

        async def told() -> bool:
            await owner.execute(f"INSERT INTO {name} VALUES (1)")
            system = (await client.get(f"{API}/health/system")).json()
            [changes] = [one for one in system["apps"] if one["name"] == "changes"]
            return changes["status"] == "down"

        await eventually(told)


async def test_an_organization_sends_so_much_by_all_its_keys(speaker: OpenLine, admin: Caller):
    async def found() -> str:
        name = unique("org")
        made = await admin.post(f"{API}/organizations", json={"name": name, "slug": name})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def new_key(organization_id: str) -> str:
        body = {"name": "k", "permissions": [], "organization_id": organization_id}
        made = await admin.post(f"{API}/api-keys", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["key"])

    ours, theirs = await found(), await found()
    first, second, other = [await speaker(await new_key(one)) for one in (ours, ours, theirs)]
    assert await together(first, second)
    assert (await other())["status"] == "ok"
