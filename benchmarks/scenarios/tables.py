"""Tables as they grow: an export's memory, a policy by template, reads by key and by index."""

import argparse
import random
import secrets
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
from rich.console import Console

from benchmarks.undercroft import Undercroft

EXPORTED = 1_000_000
SHARED = 1_000_000
MEMBERSHIPS = (3, 10)
SMALL, LARGE = 10_000, 3_000_000
READS = 600
FILL = """
    INSERT INTO {table} (owner, name, amount, note)
    SELECT '{owner}', 'name ' || n, n % {amounts}, repeat('x', 40) FROM generate_series(1, {rows}) n
"""


def run(console: Console, options: argparse.Namespace) -> None:
    ours = Undercroft(SMALL, workers=options.workers)
    try:
        _export(console, ours)
        for memberships in MEMBERSHIPS:
            _policy(console, ours, memberships)
        _growth(console, ours)
    finally:
        ours.close()


def _growth(console: Console, ours: Undercroft) -> None:
    """The index is found by values that stay as frequent as they were."""
    ours.sql("ALTER TABLE items DROP COLUMN maker")  # three million checks of one key
    before = _reads(ours, SMALL)
    fill = {"table": "items", "amounts": LARGE // 100, "rows": LARGE - SMALL}
    ours.sql(FILL.format(owner=ours.user_id, **fill))
    ours.sql("VACUUM ANALYZE items")
    after = _reads(ours, LARGE)
    for name, small in before.items():
        console.print(
            f"{name} of {SMALL:,} rows {small * 1000:.2f} ms, of {LARGE:,} "
            f"{after[name] * 1000:.2f} ms: {after[name] / small:.2f} times (aim: below 1.2)"
        )


def _reads(ours: Undercroft, rows: int) -> dict[str, float]:
    """Median seconds of a request, one after another on one connection."""
    paths = {
        "Read by key": "/rest/v1/items?id=eq.{n}",
        "Page by index": "/rest/v1/items?amount=eq.{n}&order=id.desc&limit=30",
    }
    found = {}
    with httpx.Client(base_url=ours.url, headers=ours.headers) as client:
        for name, path in paths.items():
            seconds = []
            for _ in range(READS):
                number = random.randint(1, rows if "key" in name else 99)  # noqa: S311
                started = time.perf_counter()
                client.get(path.format(n=number)).raise_for_status()
                seconds.append(time.perf_counter() - started)
            found[name] = statistics.median(seconds[READS // 6 :])
    return found


def _export(console: Console, ours: Undercroft) -> None:
    ours.sql("CREATE TABLE public.exported (LIKE items INCLUDING IDENTITY)")
    ours.sql("ALTER TABLE public.exported OWNER TO undercroft_developer")
    fill = {"table": "public.exported", "amounts": 100, "rows": EXPORTED}
    ours.sql(FILL.format(owner=ours.user_id, **fill))
    for kind in ("csv", "ndjson"):
        path = f"{ours.url}/api/v1/tables/exported/export?format={kind}"
        headers = ours.service | {"Accept-Encoding": "identity"}
        size = 0
        started = time.perf_counter()
        with (
            _memory_of_workers(ours) as peak,
            httpx.stream("GET", path, headers=headers, timeout=300) as answer,
        ):
            answer.raise_for_status()
            for piece in answer.iter_raw():
                size += len(piece)
        seconds = time.perf_counter() - started
        console.print(
            f"Export of {EXPORTED:,} rows as {kind} ({size / 1e6:.0f} MB) in {seconds:.1f} s, "
            f"{EXPORTED / seconds:,.0f} rows/s; all workers together {peak[0] / 1e6:.0f} MB above "
            "rest (aim: below 100)"
        )


@contextmanager
def _memory_of_workers(ours: Undercroft) -> Iterator[list[float]]:
    """The most that the server's own processes held above what they held at first."""
    parent = psutil.Process(ours.process.pid)
    python = [parent, *(c for c in parent.children() if "undercroft" in " ".join(c.cmdline()))]
    rest = sum(process.memory_info().rss for process in python)
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            now = sum(process.memory_info().rss for process in python)
            peak[0] = max(peak[0], now - rest)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield peak
    finally:
        done.set()
        watching.join()


def _policy(console: Console, ours: Undercroft, memberships: int) -> None:
    """Reads of a member of some organizations, all of whose rows they see."""
    with httpx.Client(base_url=f"{ours.url}/api/v1", timeout=300) as client:
        organizations = [_found(client, ours) for _ in range(memberships)]
        shared, unruled = f"shared{memberships}", f"unruled{memberships}"
        columns = [
            {"name": "id", "type": "bigint", "primary_key": True, "identity": True},
            {"name": "organization_id", "type": "uuid", "nullable": False},
            {"name": "amount", "type": "integer", "nullable": False},
        ]
        for name in (shared, unruled):
            table = {"name": name, "columns": columns}
            client.post("/tables", json=table, headers=ours.service).raise_for_status()
            listed = ", ".join(f"'{one}'" for one in organizations)
            ours.sql(
                f"INSERT INTO {name} (organization_id, amount)"  # noqa: S608
                f" SELECT (ARRAY[{listed}]::uuid[])[1 + n % {memberships}], n % 1000"
                f" FROM generate_series(1, {SHARED}) n"
            )
        template = {"kind": "organization_member"}
        policy = {"name": "members", "template": template, "create_index": True}
        open_ = {"name": "open", "command": "select", "using": "true"}
        client.post(
            f"/tables/{shared}/policies", json=policy, headers=ours.service
        ).raise_for_status()
        client.post(
            f"/tables/{unruled}/policies", json=open_, headers=ours.service
        ).raise_for_status()
        ours.sql(f"CREATE INDEX ON {unruled} (organization_id)")
        ours.sql(f"VACUUM ANALYZE {shared}, {unruled}")
        for name, query in (
            ("Count of all rows", "select=id&limit=1"),
            ("Page of the newest", "order=id.desc&limit=30"),
        ):
            prefer = {"Prefer": "count=exact"} if "Count" in name else {}
            ruled, free = _in_turns(client, ours, (shared, unruled), query, prefer)
            console.print(
                f"{name}, {SHARED:,} rows in {memberships} organizations: {ruled * 1000:.1f} ms "
                f"under the template's policy, {free * 1000:.1f} ms without: "
                f"{ruled / free:.2f} times (aim: below 1.5)"
            )


def _in_turns(
    client: httpx.Client,
    ours: Undercroft,
    tables: tuple[str, str],
    query: str,
    prefer: dict[str, str],
) -> tuple[float, float]:
    seconds: dict[str, list[float]] = {name: [] for name in tables}
    for _ in range(15):
        for name, found in seconds.items():
            started = time.perf_counter()
            path = f"{ours.url}/rest/v1/{name}?{query}"
            client.get(path, headers=ours.headers | prefer).raise_for_status()
            found.append(time.perf_counter() - started)
    ruled, free = (statistics.median(found) for found in seconds.values())
    return ruled, free


def _found(client: httpx.Client, ours: Undercroft) -> str:
    word = secrets.token_hex(4)
    body = {"name": f"Organization {word}", "slug": f"organization-{word}"}
    made = client.post("/organizations", json=body, headers=ours.headers)
    return str(made.raise_for_status().json()["id"])
