"""Who listens goes on listening, however its connection ended."""

import asyncio
from typing import Any

from undercroft.foundation.db import Listener
from undercroft.foundation.settings import Settings

CHANNEL = "hall"


class Tripping(Listener):
    """Its first connection fails as no connection has yet."""

    trips = 1

    async def _listen(self, url: str) -> None:
        if self.trips:
            self.trips -= 1
            raise RuntimeError("never seen before")
        await super()._listen(url)


async def hears(listener: Listener, connection: Any, heard: "asyncio.Queue[str]") -> None:
    """Say it until it is heard: between two connections nothing is."""
    async with asyncio.timeout(20):
        while heard.empty():
            await connection.execute(f"notify {CHANNEL}, 'a word'")
            if not await listener.catch_up():
                await asyncio.sleep(0.05)
    assert heard.get_nowait() == "a word"


async def test_hears_again_whatever_ended_it(settings: Settings, superuser: Any):
    listener, heard = Tripping(settings.database), asyncio.Queue[str]()
    listener.on(CHANNEL, heard.put_nowait)
    await listener.start()
    try:
        await hears(listener, superuser, heard)
    finally:
        await listener.stop()


async def test_says_that_it_may_be_behind_while_its_connection_ends(
    settings: Settings, superuser: Any
):
    listener, heard = Listener(settings.database), asyncio.Queue[str]()
    listener.on(CHANNEL, heard.put_nowait)
    await listener.start()
    try:
        for _ in range(3):
            await hears(listener, superuser, heard)
            while not heard.empty():
                heard.get_nowait()
            assert listener._connection  # it heard just now, and nobody else ends it
            pid = listener._connection.get_server_pid()
            assert await superuser.fetchval("select pg_terminate_backend($1)", pid)
            await asyncio.gather(*(listener.catch_up() for _ in range(20)))
    finally:
        await listener.stop()
