"""Rows beside PocketBase: both called as a signed-in person through a rule that looks at who calls.

A table of 100,000 rows, 16 connections, the median of three runs; beside each the share of
`pgbench -M prepared` with the same statement and no rule.
"""

import argparse

from rich.console import Console
from rich.table import Table

from benchmarks import load
from benchmarks.pocketbase import PocketBase
from benchmarks.undercroft import Undercroft

ROW = "id, owner, name, amount, note, maker"
PGBENCH = {
    "read one": f"SELECT json_agg(t) FROM (SELECT {ROW} FROM items WHERE id = :n) t;",
    "list 30": f"SELECT json_agg(t) FROM (SELECT {ROW} FROM items ORDER BY id DESC LIMIT 30) t;",
    "insert one": "INSERT INTO items (owner, name, amount, note) VALUES ('{user}', 'new', 7, 'x')"
    f" RETURNING {ROW};",
}
AIMS = {
    "read one": 2.0,
    "list 30": 4.0,
    "filtered page": 4.0,
    "embedded": 3.0,
    "insert one": 1.5,
    "login": 2.0,
}


def run(console: Console, options: argparse.Namespace) -> None:
    ours, theirs = Undercroft(options.rows, workers=options.workers), PocketBase(options.rows)
    try:
        _compare(console, ours, theirs, options.seconds)
    finally:
        ours.close()
        theirs.close()


def _compare(console: Console, ours: Undercroft, theirs: PocketBase, seconds: int) -> None:
    table = Table(title=f"{load.CONNECTIONS} connections, answers a second and p99 in ms")
    for column in ("", "Undercroft", "p99", "PocketBase", "p99", "ratio", "aim", "of pgbench"):
        table.add_column(column, justify="right")
    for name, aim in AIMS.items():
        method = name.replace(" ", "_")
        mine, peer = load.alternate(getattr(ours, method)(), getattr(theirs, method)(), seconds)
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
            f"{mine.rate / peer.rate:.2f}" if peer.rate else "",
            f"{aim:.1f}",
            share,
        )
    console.print(table)
