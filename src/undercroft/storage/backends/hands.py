"""Threads for work that is done a thousand times a second.

`concurrent.futures` guards each piece of work with half a dozen locks, any of which may hand the
interpreter on to another thread: an upload paid more for that than for its file.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread


class _Errand:
    """One piece of work, and who waits for it; both futures belong to their loop's thread."""

    __slots__ = ("arguments", "done", "ended", "is_over", "work")

    def __init__(self, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
        self.work = work
        self.arguments = arguments
        self.done: Future[None] = asyncio.get_running_loop().create_future()
        self.ended: Future[None] | None = None
        self.is_over = False

    async def end(self) -> None:
        """Return when nothing of it happens any more, though nobody wants its outcome."""
        if not self.is_over:
            self.ended = asyncio.get_running_loop().create_future()
            await self.ended


class Hands:
    """As many threads as there has been work for at once, up to `most`. For one event loop."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._started = self._busy = 0
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()

    async def run(self, work: Callable[..., None], *arguments: object) -> None:
        """Return when it is done or has failed, even if cancelled. Raises what it raises."""
        if self._started < min(self._busy + 1, self._most):
            self._start()
        errand = _Errand(work, arguments)
        self._busy += 1
        self._errands.put(errand)
        try:
            await errand.done
        except asyncio.CancelledError:
            await errand.end()
            raise

    def close(self) -> None:
        """Let the threads go once they have done what was asked for."""
        for _ in range(self._started):
            self._errands.put(None)
        self._started = 0

    def _start(self) -> None:
        """Start one thread more; where the system has none to give, those that are there do it."""
        thread = Thread(target=self._serve, name=f"{self._name}-{self._started + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._started:
                raise
        else:
            self._started += 1

    def _serve(self) -> None:
        while errand := self._errands.get():
            failure: BaseException | None = None
            try:
                errand.work(*errand.arguments)
            except BaseException as error:  # noqa: BLE001 - it is told
                failure = error
            with suppress(RuntimeError):  # its loop is closed, and nobody waits
                errand.done.get_loop().call_soon_threadsafe(self._tell, errand, failure)

    def _tell(self, errand: _Errand, failure: BaseException | None) -> None:
        self._busy -= 1
        errand.is_over = True
        if errand.ended and not errand.ended.done():
            errand.ended.set_result(None)
        if errand.done.done():  # whoever waited has left
            return
        if failure is None:
            errand.done.set_result(None)
        else:
            errand.done.set_exception(failure)
