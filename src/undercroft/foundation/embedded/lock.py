"""One process at a time runs engines on a home; the others learn who it is."""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Self

from undercroft.foundation.embedded.errors import HomeHeld, HomeUnusable
from undercroft.foundation.embedded.home import Home

SERVE = "serve"
LONGEST_TURN = 60.0
POLL = 0.05


@dataclass(frozen=True, slots=True)
class Holder:
    pid: int
    command: str
    since: str
    url: str | None = None

    def __str__(self) -> str:
        where = f" at {self.url}" if self.url else ""
        return f"`undercroft {self.command}`{where} (pid {self.pid}, since {self.since})"


class HomeLock:
    """A flock: the kernel frees it when the holder dies, however it dies.

    Forked children share it, so they call `close_in_child` first thing.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._descriptor: int | None = None

    def acquire(self, command: str) -> None:
        """Hold the home, after other commands had their turn.

        Raises `HomeHeld`, which says who holds it, at once when that is a `serve`.
        """
        descriptor = self._open()
        deadline = time.monotonic() + LONGEST_TURN
        while not _locked(descriptor):
            holder = self.holder()
            by_serve = holder is not None and holder.command == SERVE
            if by_serve or time.monotonic() > deadline:
                os.close(descriptor)
                who = holder or "another process"
                raise HomeHeld(f"The home {self._home.root} is held by {who}.", by_serve=by_serve)
            time.sleep(POLL)
        self._descriptor = descriptor
        self._write(Holder(os.getpid(), command, _now()))

    def announce(self, url: str) -> None:
        """Tell others where this process answers."""
        if self._descriptor is not None and (holder := self.holder()):
            self._write(Holder(holder.pid, holder.command, holder.since, url))

    def holder(self) -> Holder | None:
        """Who wrote the lock last; they hold it only if `acquire` fails."""
        try:
            return Holder(**json.loads(self._home.lock_file.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def close_in_child(self) -> None:
        """Leave the lock to the parent alone."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _open(self) -> int:
        try:
            return os.open(self._home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HomeUnusable(
                f"Cannot write to the home {self._home.root}: {error.strerror}."
            ) from error

    def _write(self, holder: Holder) -> None:
        assert self._descriptor is not None
        text = json.dumps(asdict(holder)).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
