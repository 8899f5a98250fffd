"""What the catalogue says about customers' tables. System schemas do not exist here."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import quote
from undercroft.data.tables.errors import SchemaNotFound, TableNotFound
from undercroft.foundation.db import PageRequest
from undercroft.foundation.db.paging import CursorInvalid, read_cursor, write_cursor

# Asking for the size of a relation waits for whoever holds it alone, so that one migration would
# hang every list of tables: those show the size at the last ANALYZE.
HELD = """ARRAY(SELECT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock')"""
SUMMARY = f"""
    SELECT c.oid, c.relname AS name, n.nspname AS schema_name,
           obj_description(c.oid, 'pg_class') AS description,
           (SELECT count(*) FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS column_count,
           c.reltuples::bigint AS row_estimate,
           CASE WHEN c.oid = ANY ({HELD})
                THEN c.relpages::bigint * current_setting('block_size')::bigint
                ELSE pg_total_relation_size(c.oid) END AS size_bytes,
           c.relrowsecurity AS row_security,
           (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policy_count
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND undercroft.is_exposed(n.nspname)
"""  # noqa: S608 - a constant of ours
FIND = text("""
    SELECT c.oid, n.nspname AS schema_name, c.relname AS name
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND undercroft.is_exposed(n.nspname)
       AND n.nspname = :schema AND c.relname = :name
""")
FIND_FOR_POLICIES = text("""
    SELECT c.oid, n.nspname AS schema_name, c.relname AS name
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND undercroft.takes_policies(n.nspname, c.relname)
       AND n.nspname = :schema AND c.relname = :name
""")
COLUMNS = text("""
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
           NOT a.attnotnull AS nullable,
           CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS default,
           CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END AS generated,
           coalesce(i.indisprimary, false) AS primary_key, a.attidentity <> '' AS identity,
           col_description(a.attrelid, a.attnum) AS description
      FROM pg_attribute a
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
            AND a.attnum = ANY (i.indkey)
     WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attnum
""")
PRIMARY_KEY = text("""
    SELECT a.attname
      FROM pg_constraint k
     CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS part (number, place)
      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = part.number
     WHERE k.conrelid = :oid AND k.contype = 'p'
     ORDER BY part.place
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
    row = (await session.execute(FIND, {"schema": schema, "name": name})).one_or_none()
    if row is None:
        raise TableNotFound(name)
    return Table(row.oid, row.schema_name, row.name)


async def get_table_for_policies(session: AsyncSession, schema: str, name: str) -> Table:
    """As `get_table`; also the tables of ours that customers' policies open."""
    values = {"schema": schema, "name": name}
    row = (await session.execute(FIND_FOR_POLICIES, values)).one_or_none()
    if row is None:
        raise TableNotFound(name)
    return Table(row.oid, row.schema_name, row.name)


async def get_summary(session: AsyncSession, table: Table) -> dict[str, Any]:
    row = (await session.execute(text(SUMMARY + " AND c.oid = :oid"), {"oid": table.oid})).one()
    return row._asdict()


async def list_tables(
    session: AsyncSession, schema: str, page: PageRequest, *, search: str
) -> tuple[list[dict[str, Any]], str | None]:
    """By name, with the cursor of the next page."""
    beyond, order = ("<", "DESC") if page.sort.startswith("-") else (">", "ASC")
    statement = text(
        SUMMARY
        + " AND n.nspname = :schema AND position(:search in c.relname) > 0"
        + f" AND (CAST(:after AS text) IS NULL OR c.relname {beyond} :after)"
        + f" ORDER BY c.relname {order} LIMIT :limit"
    )
    after = _name_of(page) if page.cursor else None
    values = {"schema": schema, "after": after, "limit": page.limit + 1, "search": search}
    found = [row._asdict() for row in await session.execute(statement, values)]
    rows = found[: page.limit]
    return rows, write_cursor(page.sort, [rows[-1]["name"]]) if len(found) > page.limit else None


def _name_of(page: PageRequest) -> str:
    match read_cursor(page.cursor or "", page.sort):
        case [str(name)] if "\x00" not in name:
            return name
    raise CursorInvalid


async def count_tables(session: AsyncSession, schema: str, *, search: str) -> int:
    statement = text(
        f"SELECT count(*) FROM ({SUMMARY} AND n.nspname = :schema"  # noqa: S608 - ours
        " AND position(:search in c.relname) > 0) AS tables"
    )
    return int(await session.scalar(statement, {"schema": schema, "search": search}) or 0)


async def list_columns(session: AsyncSession, table: Table) -> list[dict[str, Any]]:
    return [row._asdict() for row in await session.execute(COLUMNS, {"oid": table.oid})]


async def list_primary_key(session: AsyncSession, table: Table) -> list[str]:
    """Names in the order of the key."""
    return list(await session.scalars(PRIMARY_KEY, {"oid": table.oid}))


async def is_exposed(session: AsyncSession, schema: str) -> bool:
    statement = text("SELECT undercroft.is_exposed(:schema)")
    return bool(await session.scalar(statement, {"schema": schema}))
