"""What the catalogue says about a table's policies."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.tables.errors import PolicyNotFound
from undercroft.data.tables.queries import Table

POLICIES = text("""
    SELECT p.polname AS name, p.polpermissive AS permissive,
           CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
                         WHEN 'd' THEN 'delete' ELSE 'all' END AS command,
           CASE WHEN 0 = ANY (p.polroles) THEN ARRAY['public']
                ELSE ARRAY(SELECT rolname::text FROM pg_roles WHERE oid = ANY (p.polroles)
                            ORDER BY rolname) END AS roles,
           pg_get_expr(p.polqual, p.polrelid) AS using,
           pg_get_expr(p.polwithcheck, p.polrelid) AS check
      FROM pg_policy p
     WHERE p.polrelid = :oid
     ORDER BY p.polname
""")
# An index helps when the column comes first in it and it holds every row.
HAS_INDEX = text("""
    SELECT EXISTS (
        SELECT FROM pg_index i
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = :oid AND a.attname = :column AND i.indisvalid AND i.indpred IS NULL)
""")


async def list_policies(session: AsyncSession, table: Table) -> list[dict[str, Any]]:
    return [row._asdict() for row in await session.execute(POLICIES, {"oid": table.oid})]


async def get_policy(session: AsyncSession, table: Table, name: str) -> dict[str, Any]:
    for row in await list_policies(session, table):
        if row["name"] == name:
            return row
    raise PolicyNotFound(name)


async def has_index(session: AsyncSession, table: Table, column: str) -> bool:
    return bool(await session.scalar(HAS_INDEX, {"oid": table.oid, "column": column}))
