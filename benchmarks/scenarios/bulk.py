"""Many rows at once: one request of ours beside PocketBase's batches, an import beside COPY."""

import argparse
import json
import time

import httpx
from rich.console import Console

from benchmarks.pocketbase import BATCH, PocketBase
from benchmarks.undercroft import Undercroft

ROWS = 100_000
THEIR_ROWS = 10_000  # of batches of a thousand; their rate does not depend on how many follow
IMPORTED = 500_000


def run(console: Console, options: argparse.Namespace) -> None:
    ours, theirs = Undercroft(1000, workers=options.workers), PocketBase(1000)
    try:
        mine, peer = _insert(ours), _batches(theirs)
        console.print(
            f"Insert of {ROWS:,} rows in one request {mine:,.0f} rows/s, PocketBase in batches of "
            f"{BATCH:,} {peer:,.0f} rows/s: {mine / peer:.1f} times (aim: 10)"
        )
        imported, copied = _import(ours)
        console.print(
            f"CSV import of {IMPORTED:,} rows {imported:,.0f} rows/s, COPY in psql "
            f"{copied:,.0f} rows/s: {imported / copied:.2f} of it (aim: 0.5)"
        )
    finally:
        ours.close()
        theirs.close()


def _insert(ours: Undercroft) -> float:
    row = {"owner": ours.user_id, "name": "bulk", "amount": 7, "note": "x" * 40}
    body = json.dumps([row] * ROWS)
    headers = ours.headers | {"Content-Type": "application/json"}
    started = time.perf_counter()
    answer = httpx.post(f"{ours.url}/rest/v1/items", content=body, headers=headers, timeout=120)
    answer.raise_for_status()
    return ROWS / (time.perf_counter() - started)


def _batches(theirs: PocketBase) -> float:
    body = theirs.batch_body()
    started = time.perf_counter()
    with httpx.Client(base_url=theirs.url, headers=theirs.headers, timeout=120) as client:
        for _ in range(THEIR_ROWS // BATCH):
            client.post("/api/batch", json=body).raise_for_status()
    return THEIR_ROWS / (time.perf_counter() - started)


def _import(ours: Undercroft) -> tuple[float, float]:
    """Rows a second through our API and through psql, into tables of the same shape."""
    lines = ours.csv(IMPORTED)
    path = ours.directory / "rows.csv"
    path.write_bytes(lines)
    columns = "owner,name,amount,note"
    ours.sql("CREATE TABLE copied (LIKE items INCLUDING ALL)")
    ours.sql("ALTER TABLE copied ADD FOREIGN KEY (maker) REFERENCES makers")
    started = time.perf_counter()
    ours.sql(f"\\copy copied ({columns}) FROM '{path}' WITH (FORMAT csv, HEADER)")
    copied = IMPORTED / (time.perf_counter() - started)
    started = time.perf_counter()
    ours.import_csv(lines)
    return IMPORTED / (time.perf_counter() - started), copied
