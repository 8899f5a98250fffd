"""The server itself: reads during a storm of sign-ins, time to the first answer, memory at rest."""

import argparse
import time

from rich.console import Console

from benchmarks import load
from benchmarks.undercroft import Undercroft

SHORTEST_STORM = 8  # seconds


def run(console: Console, options: argparse.Namespace) -> None:
    ours = Undercroft(options.rows, workers=options.workers)
    try:
        _storm(console, ours, options.seconds)
        _at_rest(console, ours)
    finally:
        ours.close()


def _storm(console: Console, ours: Undercroft, seconds: int) -> None:
    """Reads while 32 clients sign in as fast as they can, for long enough that both have to."""
    seconds = max(seconds, SHORTEST_STORM)
    paced = ours.read_one()
    calm = load.measure(paced, seconds=seconds)
    storm = load.start(ours.login(), seconds=seconds + 3, connections=32)
    time.sleep(1)
    before, began = _sessions(ours), time.monotonic()
    stormy = load.measure(paced, seconds=seconds, warm_up=0)
    signed_in = (_sessions(ours) - before) / (time.monotonic() - began)
    load.finish(storm)
    console.print(
        f"One-row read p99 calm {calm.p99:.1f} ms ({calm.rate:,.0f}/s), in a storm of 32 clients "
        f"signing in ({signed_in:.0f}/s) {stormy.p99:.1f} ms ({stormy.rate:,.0f}/s): "
        f"{stormy.p99 / calm.p99:.2f} times (aim: at most 2)"
    )


def _sessions(ours: Undercroft) -> int:
    return int(ours.sql("SELECT count(*) FROM auth.sessions"))


def _at_rest(console: Console, ours: Undercroft) -> None:
    ours.stop()
    again = ours.start()
    time.sleep(3)
    pss, rss = ours.memory()
    console.print(
        f"Start to the first 200: {ours.first_start:.1f} s on a new home, {again:.1f} s again "
        "(aim: 3 s)"
    )
    console.print(
        f"Memory at rest, {ours.workers} workers, all processes: {pss:.0f} MB (PSS; each shared "
        f"page once), {rss:.0f} MB (RSS; shared pages in every process) (aim: 300 MB)"
    )
