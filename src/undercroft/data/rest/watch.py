"""Notices a client that goes away while its query is running."""

import asyncio

from undercroft.data.rest.request import Receive

WATCH_AFTER = 0.1  # seconds; a task for every request would cost more than most queries


class Watch:
    """Cancels `request` when its client disconnects. `stop` it when the query has ended."""

    __slots__ = ("_receive", "_request", "_task", "_timer", "client_left")

    def __init__(self, request: "asyncio.Task[object]", receive: Receive) -> None:
        self._request = request
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self.client_left = False
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._start)

    def _start(self) -> None:
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.client_left = True
                self._request.cancel()
                return

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
