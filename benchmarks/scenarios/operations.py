"""What the activity log costs a write, and the dashboard over a million accounts."""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from rich.console import Console
from sqlalchemy import text

from benchmarks.undercroft import Undercroft
from undercroft.app import bootstrap
from undercroft.foundation.context import RequestContext, set_request
from undercroft.foundation.db import Database, migrate
from undercroft.foundation.embedded import open_engines
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import JobRegistry, outbox, publish
from undercroft.foundation.settings import Settings, load_settings
from undercroft.identity.users.events import UserUpdated
from undercroft.operations import activity
from undercroft.wings import create_registry

ACCOUNTS = 1_000_000
WRITES, ROUNDS = 400, 5
AGENT = (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0.0.0 Safari/537.36")
SOME = text("UPDATE auth.users SET theme = 'dark' WHERE email = 'first@example.com'")
SEED = """
INSERT INTO auth.users (id, email, status, user_type, auth_type, country, language, created_at,
                        email_verified_at, last_sign_in_at)
SELECT gen_random_uuid(), 'u' || n || '@example.com',
       (ARRAY['active', 'active', 'active', 'unverified', 'suspended'])[n % 5 + 1],
       (ARRAY['customer', 'business'])[n % 2 + 1], 'email',
       (ARRAY['DE', 'FR', 'US', 'ID', 'BR', NULL])[n % 6 + 1],
       (ARRAY['en', 'de', 'fr', 'id'])[n % 4 + 1], now() - n * interval '40 seconds',
       CASE WHEN n % 3 > 0 THEN now() END, CASE WHEN n % 7 > 0 THEN now() - n * interval '1 s' END
  FROM generate_series(1, {count}) n
"""
MEMBERSHIPS = """
INSERT INTO auth.user_groups (user_id, group_id)
SELECT u.id, g.id FROM auth.users u, auth.groups g WHERE g.codename = 'user'
    ON CONFLICT DO NOTHING
"""
STATISTICS = (
    "overview",
    "users-by-country",
    "user-growth?days=365",
    "role-statistics",
    "recent-sign-ins",
    "all-statistics",
)


def run(console: Console, options: argparse.Namespace) -> None:
    del options
    with tempfile.TemporaryDirectory(prefix="bench-operations-") as home:
        settings = load_settings(home=Path(home))
        with open_engines(settings, command="bench") as filled:
            migrate.upgrade(filled)
            bootstrap(filled, embedded=True)
            asyncio.run(_cost_of_an_entry(console, filled))
    ours = Undercroft(1000, workers=2)
    try:
        asyncio.run(_dashboard(console, ours))
    finally:
        ours.close()


async def _cost_of_an_entry(console: Console, settings: Settings) -> None:
    """The same transaction with the log and without it, in turns."""
    deaf = Database(settings.database, outbox(JobRegistry()))
    heard = Database(settings.database, outbox(JobRegistry(subscriptions=activity.SUBSCRIPTIONS)))
    all_ears = Database(settings.database, outbox(create_registry()))
    quiet, told, usual = [], [], []
    for _ in range(ROUNDS):
        quiet.append(await _writes(deaf))
        told.append(await _writes(heard))
        usual.append(await _writes(all_ears))
    for database in (deaf, heard, all_ears):
        await database.dispose()
    without, with_log = statistics.median(quiet), statistics.median(told)
    everyone = statistics.median(usual)
    console.print(
        f"A write of one row {without * 1e3:.2f} ms, with its activity entry {with_log * 1e3:.2f} "
        f"ms: the log costs {(with_log - without) * 1e6:.0f} µs a write, all listeners "
        f"{(everyone - without) * 1e6:.0f} µs"
    )


async def _writes(database: Database) -> float:
    """Seconds per transaction that changes a row, announces it and commits."""
    user_id = new_id()
    started = time.perf_counter()
    for _ in range(WRITES):
        request = RequestContext("bench", "control", "PATCH", "/api/v1/users/me", "127.0.0.1")
        request.headers = (AGENT,)
        set_request(request)
        async with database.unit_of_work() as session:
            await session.execute(SOME)
            publish(session, UserUpdated(user_id, ("theme",), by=user_id))
    return (time.perf_counter() - started) / WRITES


async def _dashboard(console: Console, ours: Undercroft) -> None:
    started = time.perf_counter()
    await _seed(ours)
    console.print(f"{ACCOUNTS:,} accounts seeded in {time.perf_counter() - started:.0f} s")
    async with httpx.AsyncClient(base_url=ours.url, headers=ours.service, timeout=60) as admin:
        for path in STATISTICS:
            cold, warm = await _times(admin, f"/api/v1/dashboard/{path}")
            aims = " (aims: 1,000 and 50)" if path == "overview" else ""
            console.print(f"{path:24} cold {cold:7,.0f} ms, again {warm:6.1f} ms{aims}")


async def _times(admin: httpx.AsyncClient, path: str) -> tuple[float, float]:
    """Milliseconds of the first answer, and the median of ten after it."""
    first, *others = [await _one(admin, path) for _ in range(11)]
    return first, statistics.median(others)


async def _one(admin: httpx.AsyncClient, path: str) -> float:
    started = time.perf_counter()
    (await admin.get(path)).raise_for_status()
    return (time.perf_counter() - started) * 1000


async def _seed(ours: Undercroft) -> None:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(ours.database_url())
    try:
        await connection.execute(SEED.format(count=ACCOUNTS))
        await connection.execute(MEMBERSHIPS)
        await connection.execute("VACUUM ANALYZE auth.users")
        await connection.execute("VACUUM ANALYZE auth.user_groups")
    finally:
        await connection.close()
