"""Signals as something to wait for, one after the other, in an ordinary loop."""

import select
import signal
import socket
from types import FrameType
from typing import NoReturn

STOP = (signal.SIGTERM, signal.SIGINT)
HANDLED = (*STOP, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """From its making on, signals only wake `wait`."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        for number in HANDLED:
            signal.signal(number, _note)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def wait(self, seconds: float) -> list[signal.Signals]:
        """What arrived, at the latest after `seconds`."""
        if not select.select([self._reader], [], [], seconds)[0]:
            return []
        return [signal.Signals(number) for number in self._reader.recv(256)]

    def close_in_child(self) -> None:
        self._reader.close()
        self._writer.close()


def leave_on_sigterm() -> None:
    """Until there is something to stop gracefully: unwind, so that engines are stopped."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _note(_number: int, _frame: FrameType | None) -> None:
    """Python writes the number to the wakeup socket; there is nothing else to do."""
