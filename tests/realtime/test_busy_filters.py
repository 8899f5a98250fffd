"""Filters with patterns while Postgres has no time for them."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from tests.fixtures.actors import unique
from tests.fixtures.live import eventually

# Whoever compares a value of this type waits for a lock that the test holds.
LOCK = 40_713
TABLES = """
    CREATE DOMAIN {name}_held AS text
        CHECK (pg_advisory_xact_lock_shared({lock})::text = '');
    CREATE TABLE {name}_slow (id bigint PRIMARY KEY, held {name}_held);
    CREATE TABLE {name} (id bigint PRIMARY KEY, title text);
    ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
    CREATE POLICY open_to_all ON {name} FOR SELECT USING (true);
    GRANT SELECT ON {name}, {name}_slow TO anon;
    SELECT realtime.watch('{name}', 'supabase_realtime'),
           realtime.watch('{name}_slow', 'supabase_realtime');
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"


def changes(table: str, wanted: str) -> dict[str, Any]:
    return {"event": "*", "schema": "public", "table": table, "filter": wanted}


@pytest_asyncio.fixture
async def table(owner: "asyncpg.Connection[Any]") -> AsyncIterator[str]:
    """A table, and beside it one with `_slow` in its name that nobody can judge for now."""
    name = unique("busy")
    await owner.execute(TABLES.format(name=name, lock=LOCK))
    await owner.execute("SELECT pg_advisory_lock($1)", LOCK)
    yield name
    await owner.execute("SELECT pg_advisory_unlock_all()")


async def test_a_join_waits_no_longer_than_it_asked(line, table):
    socket = await line()
    options = {"wait": True, "timeout": 200}
    asked = [changes(f"{table}_slow", "id=eq.1")]
    joined = await socket.join("x", postgres_changes=asked, postgres_changes_options=options)
    assert joined["status"] == "error"
    assert joined["response"]["reason"].startswith("PostgresChangesSubscribeTimeout")
    assert (await socket.join("x"))["status"] == "ok"


async def test_who_waits_for_a_connection_keeps_the_subscription(line, live, owner, table):
    mine, others = await line(), await line()
    await mine.follow("notes", changes(table, "title=like.a%"))
    places = live.settings.realtime.pool_size
    for number in range(places):
        await others.join(f"slow{number}", postgres_changes=[changes(f"{table}_slow", "id=eq.1")])

    async def all_taken() -> bool:
        return await owner.fetchval(WAITING, LOCK) == places

    await eventually(all_taken)
    await owner.execute(f"INSERT INTO {table} VALUES (1, 'abc')")
    told = (await mine.hear("system"))["payload"]
    assert (told["status"], told.get("resync")) == ("ok", True), told
    await owner.execute("SELECT pg_advisory_unlock($1)", LOCK)
    await owner.execute(f"INSERT INTO {table} VALUES (2, 'abd')")
    assert (await mine.change())["record"]["id"] == 2
