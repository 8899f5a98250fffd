"""A table of notes to follow, and writing to it."""

from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, unique

Connection = asyncpg.Connection
NOTES = """
    CREATE TABLE {name} (
        id bigint PRIMARY KEY, owner uuid, title text, status text DEFAULT 'open',
        price numeric, secret text);
    ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON {name} FOR SELECT TO authenticated
        USING (owner = (SELECT auth.uid()) AND status <> 'hidden');
    REVOKE ALL ON {name} FROM anon, authenticated;
    GRANT SELECT (id, owner, title, status, price) ON {name} TO authenticated;
    SELECT realtime.watch('{name}', 'supabase_realtime');
"""


@pytest_asyncio.fixture
async def notes(owner: "Connection[Any]") -> str:
    """A table whose rows belong to people, with a column that nobody may read."""
    name = unique("notes")
    await owner.execute(NOTES.format(name=name))
    return name


@pytest.fixture
def token(member: Caller) -> str:
    return str(member.tokens["access_token"])


def changes(table: str, **more: Any) -> dict[str, Any]:
    return {"event": "*", "schema": "public", "table": table, **more}


async def insert(owner: "Connection[Any]", table: str, number: int, who: str, **values: Any):
    columns = {"id": number, "owner": who, "secret": "s3cret", **values}
    names = ", ".join(columns)
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    await owner.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", *columns.values())
