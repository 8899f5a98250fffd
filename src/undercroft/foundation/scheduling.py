"""How processes of one machine share its cores."""

import ctypes
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Of what steps aside, in its group and of its group: at 19 next to nothing is left over beside
# readers who take all cores (docs/decisions/0090-passwords-are-hashed-aside.md).
NICENESS = 8
# Nanoseconds this process may go on when somebody else wakes: the least that Linux grants.
SHORTEST_SLICE = 100_000
TICK = 0.0005  # seconds
# sched_setattr(2), which few C libraries have by name.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}


def cores() -> int:
    """Those this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_in_batches() -> None:
    """Let this process and its children finish what they are at before they yield (SCHED_BATCH).

    A web worker and its Postgres wake each other with every statement. When the woken one takes
    the core at once, each request costs several switches with cold caches; on two cores this gave
    15 to 25 percent of the rate away, and tail latency too.
    """
    with suppress(AttributeError, OSError):  # Linux alone has it, and some containers refuse
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def step_aside() -> None:
    """Let this thread, and those it starts, have less than everybody else, and shortly at a time.

    For a process that is alone in its session: where Linux groups processes by session
    (sched_autogroup, sched(7)) niceness counts inside of a group only, so the group gets its own.
    """
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
    system = os.uname()
    call = _SCHED_SETATTR.get(system.machine) if system.sysname == "Linux" else None
    if call is None:
        return
    # struct sched_attr: size, policy, flags, nice, priority, runtime (the slice), and zeros.
    wanted = struct.pack("=IIQiIQ24x", 56, os.SCHED_BATCH, 0, NICENESS, 0, SHORTEST_SLICE)
    ctypes.CDLL(None).syscall(call, 0, wanted, 0)


class Ticker:
    """Makes Linux look who should run, on the core of a thread that computes and gives way.

    It looks when somebody wakes there, and by itself up to 4 ms later: who woke a moment before a
    slice was over waits that long. So a thread wakes there twice in a millisecond. Make it before
    `step_aside`: it has to come before the one that computes.
    """

    def __init__(self) -> None:
        self._ticking = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="ticker", daemon=True)
        self._thread.start()

    @contextmanager
    def beside_me(self) -> Iterator[None]:
        """The calling thread stays on its core meanwhile."""
        with _staying_with(self._thread.native_id or 0):
            self._ticking.set()
            try:
                yield
            finally:
                self._ticking.clear()

    def _tick(self) -> None:
        while self._ticking.wait():
            time.sleep(TICK)


@contextmanager
def _staying_with(other: int) -> Iterator[None]:
    """This thread and the `other` share the core where this one is."""
    try:
        usual = os.sched_getaffinity(0)
        core = {ctypes.CDLL(None).sched_getcpu()}
        os.sched_setaffinity(other, core)
        os.sched_setaffinity(0, core)
    except (AttributeError, OSError, ValueError):
        # Linux alone has it, some containers refuse, and where they do not tell the core it is -1.
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, usual)
