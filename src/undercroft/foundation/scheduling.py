"""How processes of one machine share its cores."""

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

LOWEST = 19
# Of the group: at 19 next to nothing is left over beside readers who take all cores, at 5 they wait
# half as long again (docs/decisions/0090-passwords-are-hashed-aside.md).
GROUP_NICENESS = 10
# Nanoseconds this process may go on when somebody else wakes: the least that Linux grants.
SHORTEST_SLICE = 100_000
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
    """Let this process, alone in its session, have little but what nobody else here wants.

    Three things, each of which Linux alone has and may refuse. Where it groups processes by session
    (sched_autogroup, sched(7)) niceness counts inside of a group only, so the group gets its own.
    A slice that is short keeps nobody waiting who wakes in another group. SCHED_IDLE gives way at
    once to all in the same group.
    """
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(GROUP_NICENESS))
    _slice_shortly()
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _slice_shortly() -> None:
    system = os.uname()
    call = _SCHED_SETATTR.get(system.machine) if system.sysname == "Linux" else None
    if call is None:
        return
    # struct sched_attr: size, policy, flags, nice, priority, runtime (the slice), and zeros.
    wanted = struct.pack("=IIQiIQ24x", 56, os.SCHED_BATCH, 0, LOWEST, 0, SHORTEST_SLICE)
    ctypes.CDLL(None).syscall(call, 0, wanted, 0)
