"""Tries of one account go in turn, so that a crowd of them cannot outrun their count."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Turns:
    """One password at a time is tried for a key in this process.

    The same password at the same time is one guess, and goes together: who signs in from many
    places at once does not wait for herself.
    """

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[bytes, _Turn] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, key: bytes, password: str) -> AsyncIterator[None]:
        """What is remembered against the key is to be looked at, and added to, within."""
        turn = self._turns.setdefault(key, _Turn())
        if turn.inside and turn.password == password:
            turn.inside += 1
        else:
            await turn.free.acquire()
            turn.password, turn.inside = password, 1
        try:
            yield
        finally:
            turn.inside -= 1
            if not turn.inside:
                turn.free.release()


class _Turn:
    def __init__(self) -> None:
        self.free = asyncio.Lock()
        self.password = ""
        self.inside = 0
