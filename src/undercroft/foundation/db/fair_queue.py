"""Idle connections of a pool: who waits gets the next one, in the order of asking."""

import asyncio
from collections import deque
from typing import TypeVar

from sqlalchemy.util import await_only
from sqlalchemy.util.queue import Empty, Full, QueueCommon

Item = TypeVar("Item")


class FairQueue(QueueCommon[Item]):
    """The latest used comes first, so that few stay warm under light load.

    SQLAlchemy's own lets a newcomer take what a waiter was just woken for, who then waits again
    behind all others: under load single requests wait for seconds.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = True) -> None:  # noqa: FBT001, FBT002
        self.maxsize = maxsize
        self.use_lifo = use_lifo
        self._idle: list[Item] = []
        self._waiting: deque[asyncio.Future[Item]] = deque()

    def empty(self) -> bool:
        return not self._idle

    def full(self) -> bool:
        return 0 < self.maxsize <= len(self._idle)

    def qsize(self) -> int:
        return len(self._idle)

    def put_nowait(self, item: Item) -> None:
        """Hand it to who has waited longest, else keep it. Raises `Full`."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(item)
                return
        if self.full():
            raise Full
        self._idle.append(item)

    def put(self, item: Item, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002
        self.put_nowait(item)

    def get_nowait(self) -> Item:
        """Raise `Empty`. Nothing is idle while anybody waits."""
        if not self._idle:
            raise Empty
        return self._idle.pop()

    def get(self, block: bool = True, timeout: float | None = None) -> Item:  # noqa: FBT001, FBT002
        if self._idle or not block:
            return self.get_nowait()
        return await_only(self._wait(timeout))

    async def _wait(self, timeout: float | None) -> Item:  # noqa: ASYNC109
        waiter: asyncio.Future[Item] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self.put_nowait(waiter.result())  # the turn was ours and goes to the next
            waiter.cancel()
            if isinstance(error, TimeoutError):
                raise Empty from error
            raise
