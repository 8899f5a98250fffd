"""`make bench`: Undercroft beside PocketBase and pgbench, in the same minute on the same machine.

Both sides are called as a signed-in ordinary user through a rule that looks at who calls, on a
table of 100,000 rows of five columns, from 16 connections. Every figure is the median of three
runs, ours and theirs in turns.
"""

import argparse
import os
import platform
import time

from rich.console import Console
from rich.table import Table

from benchmarks import load
from benchmarks.pocketbase import PocketBase
from benchmarks.undercroft import Undercroft

ROWS = 100_000
ROW = "id, owner, name, amount, note"
CLAIMS = '{"sub":"%s","role":"authenticated"}'
PGBENCH = {
    "read one": f"SELECT json_agg(t) FROM (SELECT {ROW} FROM items WHERE id = :n) t;",
    "list 30": f"SELECT json_agg(t) FROM (SELECT {ROW} FROM items ORDER BY id DESC LIMIT 30) t;",
    "insert one": "INSERT INTO items (owner, name, amount, note) VALUES ('{user}', 'new', 7, 'x')"
    f" RETURNING {ROW};",
}
AIMS = {"read one": 2.0, "list 30": 4.0, "insert one": 1.3, "login": 2.0}


def main() -> None:
    options = _options()
    console = Console(width=110)
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {time.ctime()}"
    )
    ours, theirs = Undercroft(options.rows, workers=options.workers), PocketBase(options.rows)
    try:
        _compare(console, ours, theirs, options.seconds)
        _storm(console, ours, options.seconds)
        _at_rest(console, ours)
    finally:
        ours.close()
        theirs.close()


def _compare(console: Console, ours: Undercroft, theirs: PocketBase, seconds: int) -> None:
    table = Table(title=f"{load.CONNECTIONS} connections, answers a second and p99 in ms")
    for column in ("", "Undercroft", "p99", "PocketBase", "p99", "ratio", "aim", "of pgbench"):
        table.add_column(column, justify="right")
    for name, aim in AIMS.items():
        method = name.replace(" ", "_")
        mine, peer = _alternate(getattr(ours, method)(), getattr(theirs, method)(), seconds)
        share = ""
        if name in PGBENCH:
            statement = PGBENCH[name].replace("{user}", ours.user_id)
            limit = ours.pgbench(statement, seconds=max(2, seconds // 2), numbers=ours.rows)
            share = f"{mine.rate / limit:.2f} of {limit:,.0f}"
        for label, measured in ((ours.name, mine), (theirs.name, peer)):
            if measured.failed:
                console.print(f"[red]{label}: {measured.failed} failed in '{name}'[/red]")
        table.add_row(
            name,
            f"{mine.rate:,.0f}",
            f"{mine.p99:.1f}",
            f"{peer.rate:,.0f}",
            f"{peer.p99:.1f}",
            f"{mine.rate / peer.rate:.2f}",
            f"{aim:.1f}",
            share,
        )
    console.print(table)


def _alternate(
    mine: load.Request, peer: load.Request, seconds: int
) -> tuple[load.Measured, load.Measured]:
    """Medians of three runs each, in turns: a neighbour's noise then falls on both."""
    runs = [
        (load.measure(mine, seconds=seconds), load.measure(peer, seconds=seconds)) for _ in range(3)
    ]
    return load.median([run[0] for run in runs]), load.median([run[1] for run in runs])


def _storm(console: Console, ours: Undercroft, seconds: int) -> None:
    """Reads while 32 clients sign in as fast as they can."""
    paced = ours.read_one()
    calm = load.measure(paced, seconds=seconds)
    storm = load.start(ours.login(), seconds=seconds + 2, connections=32)
    time.sleep(1)
    stormy = load.measure(paced, seconds=seconds, warm_up=0)
    logins = load.finish(storm)
    console.print(
        f"One-row read p99 calm {calm.p99:.1f} ms ({calm.rate:,.0f}/s), in a storm of 32 clients "
        f"signing in ({logins.rate:.0f}/s) {stormy.p99:.1f} ms ({stormy.rate:,.0f}/s): "
        f"{stormy.p99 / calm.p99:.2f} times (aim: at most 2)"
    )


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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="length of every run")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
