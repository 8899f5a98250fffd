"""fsync(2) without a thread: Linux says when it is done (io_submit(2)).

By the plain calls of caio: its own for asyncio lose a cancellation where the system cannot cancel.
"""

import asyncio
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caio.linux_aio import Context, Operation

MOST_AT_ONCE = 512
# Errors come as negative numbers of 64 bits that are read as positive ones.
_WRAPPED = 2**64

_Done = asyncio.Future[int | None]


class Flusher:
    """Asks for all flushes of one turn of the event loop together. One loop at a time."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: Context | None = None
        self._operation: type[Operation]
        self._is_refused = False
        self._asked: list[tuple[int, _Done]] = []

    def is_ready(self) -> bool:
        """False where the system has no such thing, or refuses it."""
        loop = asyncio.get_running_loop()
        if not self._is_refused and self._loop is not loop:
            self._open(loop)
        return not self._is_refused

    async def flush(self, descriptor: int) -> None:
        """Return when the file or directory is on the disk. Raises OSError.

        What the system answered is not asked again: it tells an error of a file once.
        """
        assert self._loop
        done: _Done = self._loop.create_future()
        if not self._asked:
            self._loop.call_soon(self._submit)
        self._asked.append((descriptor, done))
        number = await done
        if number is None:
            await asyncio.to_thread(os.fsync, descriptor)
        elif number:
            raise OSError(number, os.strerror(number))

    def close(self) -> None:
        if self._loop and self._context:
            with suppress(RuntimeError):  # its loop is closed
                self._loop.remove_reader(self._context.fileno)
        self._loop = self._context = None

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        self.close()
        try:
            # Late, because it is for Linux alone, and for who writes files.
            from caio.linux_aio import Context, Operation  # noqa: PLC0415

            self._context, self._operation = Context(MOST_AT_ONCE), Operation
        except (ImportError, SystemError, OSError):
            self._is_refused = True
            return
        self._loop, self._asked = loop, []
        loop.add_reader(self._context.fileno, self._hear)

    def _submit(self) -> None:
        # Who has left meanwhile has closed the file, and its number may be another's.
        waiting = [(number, done) for number, done in self._asked if not done.done()]
        self._asked = []
        operations = []
        for number, done in waiting:
            operation = self._operation.fsync(number)
            operation.set_callback(partial(_tell, done))
            operations.append(operation)
        accepted = 0
        with suppress(SystemError):  # too many at once, or not of such a file
            accepted = self._context.submit(*operations) if self._context else 0
        for _, done in waiting[accepted:]:
            done.set_result(None)

    def _hear(self) -> None:
        assert self._context
        with suppress(BlockingIOError):
            self._context.poll()
        while self._context.process_events():
            pass


def _tell(done: _Done, result: int) -> None:
    if not done.done():  # else whoever waited has left
        done.set_result(_WRAPPED - result if result else 0)
