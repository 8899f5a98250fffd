"""What an account, and an organization by its keys, may send however many sockets they open."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest_asyncio
from websockets.asyncio.client import connect

from tests.fixtures.actors import Caller, unique
from tests.fixtures.app import running
from tests.fixtures.live import Line, LiveServer
from undercroft.app import create_app
from undercroft.foundation.settings import Settings

API = "/api/v1"
# Messages of a caller within the seconds that `Rates` averages over.
SHARE = 5
MESSAGE = {"type": "broadcast", "event": "hi", "payload": {}}
Speak = Callable[[], Awaitable[dict[str, Any]]]
OpenLine = Callable[..., Awaitable[Speak]]


@pytest_asyncio.fixture
async def speaker(settings: Settings, api_keys: dict[str, str]) -> AsyncIterator[OpenLine]:
    """`await speaker()` joins a room by a socket of its own, where a share is one message a second.

    What it returns sends a message and returns the answer.
    """
    realtime = settings.realtime.model_copy(update={"messages_per_second_per_caller": 1})
    small = settings.model_copy(update={"realtime": realtime})
    opened = []
    async with running(create_app(small)) as app:
        server = LiveServer(app, small)
        await server.start()

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
        await server.stop()


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
