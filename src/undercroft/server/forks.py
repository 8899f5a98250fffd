"""Copies of this process that do one thing each.

The parent imports the application once and forks: children share that memory and start at once.
For this it stays without threads and without an event loop.
"""

import gc
import logging
import os
import pickle
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from asyncpg import PostgresError
from prometheus_client.multiprocess import mark_process_dead

from undercroft.foundation.crypto import SealedElsewhere
from undercroft.foundation.embedded import EnginesUnavailable
from undercroft.foundation.problems import Problem, SettingsInvalid
from undercroft.server.errors import CannotServe

_log = logging.getLogger(__name__)

# Children that stop by themselves need as long as those that we stop.
GRACE_AFTER_PARENT = 15.0


class Lifeline:
    """A pipe whose only writer is the parent: when it closes, the parent is gone, killed or not."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._parent_only: list[Callable[[], None]] = [lambda: os.close(self._write)]

    def keep_from_children(self, close: Callable[[], None]) -> None:
        """`close` runs in every child: what it closes must not outlive the parent."""
        self._parent_only.append(close)

    def watch_in_child(self) -> None:
        for close in self._parent_only:
            close()
        threading.Thread(target=self._end_with_parent, name="lifeline", daemon=True).start()

    def _end_with_parent(self) -> None:
        os.read(self._read, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_AFTER_PARENT)
        os._exit(1)


class ForkedProcess:
    """A child that runs `main(ready)`; it calls `ready()` when it has begun its work."""

    def __init__(
        self, name: str, lifeline: Lifeline, main: Callable[[Callable[[], None]], None]
    ) -> None:
        self.name = name
        self._lifeline = lifeline
        self._main = main
        self._ready_pipe: int | None = None
        self._is_ready = False
        self.pid: int | None = None

    def launch(self) -> None:
        self._close_pipe()
        self._is_ready = False
        read, write = os.pipe()
        try:
            self.pid = _fork(self._lifeline, lambda: self._main(lambda: _write_once(write)))
        except OSError:  # no process is left, say, for a moment or for long
            os.close(read)
            raise
        finally:
            os.close(write)
        self._ready_pipe = read

    def alive(self) -> bool:
        """Whether it runs; collects it when it does not."""
        if self.pid is None:
            return False
        with suppress(ChildProcessError):
            ended, _ = os.waitpid(self.pid, os.WNOHANG)
            if not ended:
                return True
        _forget_gauges(self.pid)
        self.pid = None
        self._close_pipe()
        return False

    def ready(self) -> bool:
        if self._ready_pipe is not None and select.select([self._ready_pipe], [], [], 0)[0]:
            self._is_ready = bool(os.read(self._ready_pipe, 1))
            self._close_pipe()
        return self._is_ready and self.pid is not None

    def signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _close_pipe(self) -> None:
        if self._ready_pipe is not None:
            os.close(self._ready_pipe)
            self._ready_pipe = None


def call_in_child(
    lifeline: Lifeline, function: Callable[[], Any], *, meanwhile: Callable[[], object]
) -> Any:
    """The outcome of `function`, run in a child so that its threads and loops end with it.

    `meanwhile` runs here until then. Raises `SettingsInvalid` or `CannotServe` when the child
    fails; unless the operator can help it, the log has a traceback.
    """
    read, write = os.pipe()

    def answer() -> None:
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(_outcome(function), pipe)

    pid = _fork(lifeline, answer)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        try:
            meanwhile()
        except Exception:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        content = pipe.read()
    os.waitpid(pid, 0)
    refusal, outcome = pickle.loads(content) if content else (CannotServe, "a process was killed")  # noqa: S301
    if refusal:
        raise refusal(outcome)
    return outcome


def _outcome(function: Callable[[], Any]) -> tuple[type[Exception] | None, Any]:
    """What the parent is to raise, if anything, and its words or what `function` returned."""
    try:
        return None, function()
    except SettingsInvalid as error:
        return SettingsInvalid, str(error)
    except (CannotServe, Problem, SealedElsewhere, EnginesUnavailable) as error:
        return CannotServe, str(error)
    except (OSError, PostgresError) as error:
        return CannotServe, (
            f"The database cannot be used: {error}. Check DATABASE_URL; `undercroft doctor` looks "
            "at everything."
        )
    except Exception as error:  # noqa: BLE001 - whatever it was, the parent must hear of it
        _log.exception("Preparing failed")
        return CannotServe, f"{type(error).__name__}: {error}"


def _fork(lifeline: Lifeline, main: Callable[[], None]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_child(lifeline, main)
    return pid


def _be_child(lifeline: Lifeline, main: Callable[[], None]) -> NoReturn:
    """Run `main` and leave, never through the parent's code that is still on our stack."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()  # a Ctrl-C at the terminal is for the parent to handle
        lifeline.watch_in_child()
        gc.enable()
        main()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt:
        status = 130
    except BaseException:  # noqa: BLE001 - this process ends here
        _log.exception("A child process failed")
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _forget_gauges(pid: int) -> None:
    """What it counted stays; the sockets that it held are gone with it."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _write_once(descriptor: int) -> None:
    os.write(descriptor, b"1")
    os.close(descriptor)
