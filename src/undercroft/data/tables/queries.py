"""What the catalogue says about customers' tables. System schemas do not exist here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import quote
from undercroft.data.tables.errors import SchemaNotFound, TableNotFound

SUMMARY = """
    SELECT c.oid, c.relname AS name, n.nspname AS schema_name,
           obj_description(c.oid, 'pg_class') AS description,
           (SELECT count(*) FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS column_count,
           c.reltuples::bigint AS row_estimate,
           pg_total_relation_size(c.oid) AS size_bytes,
           c.relrowsecurity AS row_security,
           (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policy_count
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND undercroft.is_exposed(n.nspname)
"""
COLUMNS = text("""
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
           NOT a.attnotnull AS nullable, pg_get_expr(d.adbin, d.adrelid) AS default,
           coalesce(i.indisprimary, false) AS primary_key, a.attidentity <> '' AS identity,
           col_description(a.attrelid, a.attnum) AS description
      FROM pg_attribute a
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
            AND a.attnum = ANY (i.indkey)
     WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attnum
""")
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


@dataclass(frozen=True, slots=True)
class Table:
    """A table that exists, found by its names."""

    oid: int
    schema: str
    name: str

    @property
    def quoted(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"


async def check_schema(session: AsyncSession, schema: str) -> None:
    """Raise `SchemaNotFound` for a schema that is missing or not the customer's."""
    statement = text(
        "SELECT true FROM pg_namespace WHERE nspname = :name AND undercroft.is_exposed(nspname)"
    )
    if not await session.scalar(statement, {"name": schema}):
        raise SchemaNotFound(schema)


async def get_table(session: AsyncSession, schema: str, name: str) -> Table:
    statement = text(SUMMARY + " AND n.nspname = :schema AND c.relname = :name")
    row = (await session.execute(statement, {"schema": schema, "name": name})).one_or_none()
    if row is None:
        raise TableNotFound(name)
    return Table(row.oid, row.schema_name, row.name)


async def get_summary(session: AsyncSession, table: Table) -> dict[str, Any]:
    row = (await session.execute(text(SUMMARY + " AND c.oid = :oid"), {"oid": table.oid})).one()
    return row._asdict()


async def list_tables(
    session: AsyncSession, schema: str, *, after: str, limit: int, search: str
) -> Sequence[dict[str, Any]]:
    """By name; `after` is the last name of the page before."""
    statement = text(
        SUMMARY
        + " AND n.nspname = :schema AND c.relname > :after AND position(:search in c.relname) > 0"
        " ORDER BY c.relname LIMIT :limit"
    )
    values = {"schema": schema, "after": after, "limit": limit, "search": search}
    return [row._asdict() for row in await session.execute(statement, values)]


async def list_columns(session: AsyncSession, table: Table) -> list[dict[str, Any]]:
    return [row._asdict() for row in await session.execute(COLUMNS, {"oid": table.oid})]


async def list_policies(session: AsyncSession, table: Table) -> list[dict[str, Any]]:
    return [row._asdict() for row in await session.execute(POLICIES, {"oid": table.oid})]
