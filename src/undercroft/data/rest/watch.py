"""Notices clients that go away while their queries run."""

import asyncio

from undercroft.data.rest.request import Receive

# Seconds between looks. A query is watched from the second look on: a timer and a task for every
# request would cost more than most queries.
LOOK_EVERY = 0.1


class Watch:
    """One running request. `stop` it when the query has ended."""

    __slots__ = ("_receive", "_request", "_task", "_watches", "client_left", "seen")

    def __init__(
        self, watches: "Watches", request: "asyncio.Task[object]", receive: Receive
    ) -> None:
        self._watches = watches
        self._request = request
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self.client_left = False
        self.seen = False

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._wait())

    def stop(self) -> None:
        self._watches.running.discard(self)
        if self._task is not None:
            self._task.cancel()

    async def _wait(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.client_left = True
                self._request.cancel()
                return


class Watches:
    """All running requests of an app, looked at together; idle when there are none."""

    def __init__(self) -> None:
        self.running: set[Watch] = set()
        self._looking = False

    def add(self, request: "asyncio.Task[object]", receive: Receive) -> Watch:
        """Cancel `request` when its client disconnects."""
        watch = Watch(self, request, receive)
        self.running.add(watch)
        if not self._looking:
            self._look_later()
        return watch

    def _look_later(self) -> None:
        self._looking = True
        asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def _look(self) -> None:
        for watch in self.running:
            if watch.seen:
                watch.start()
            watch.seen = True
        self._looking = False
        if self.running:
            self._look_later()
