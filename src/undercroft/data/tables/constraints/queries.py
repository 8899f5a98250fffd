"""What the catalogue says about a table's constraints."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.tables.queries import Table

ACTION = """
    CASE {column} WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null'
                  WHEN 'd' THEN 'set default' ELSE 'no action' END
"""
# NOT NULL is a property of the column here, whether or not this Postgres names it as a constraint.
CONSTRAINTS = text(f"""
    SELECT k.oid, k.conname AS name,
           CASE k.contype WHEN 'p' THEN 'primary_key' WHEN 'u' THEN 'unique' WHEN 'c' THEN 'check'
                          WHEN 'f' THEN 'foreign_key' WHEN 'x' THEN 'exclusion'
                          ELSE 'trigger' END AS kind,
           ARRAY(SELECT a.attname::text
                   FROM unnest(k.conkey) WITH ORDINALITY AS part (number, place)
                   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = part.number
                  ORDER BY part.place) AS columns,
           pg_get_constraintdef(k.oid) AS definition,
           CASE WHEN k.contype = 'f' THEN jsonb_build_object(
               'schema_name', n.nspname, 'table', f.relname,
               'columns', ARRAY(
                   SELECT a.attname::text
                     FROM unnest(k.confkey) WITH ORDINALITY AS part (number, place)
                     JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = part.number
                    ORDER BY part.place),
               'on_delete', {ACTION.format(column="k.confdeltype")},
               'on_update', {ACTION.format(column="k.confupdtype")}) END AS references,
           k.convalidated AS validated,
           obj_description(k.oid, 'pg_constraint') AS description
      FROM pg_constraint k
      LEFT JOIN pg_class f ON f.oid = k.confrelid
      LEFT JOIN pg_namespace n ON n.oid = f.relnamespace
     WHERE k.conrelid = :oid AND k.contype <> 'n'
     ORDER BY k.conname
""")  # noqa: S608 - a constant of ours


async def list_constraints(session: AsyncSession, table: Table) -> list[dict[str, Any]]:
    return [row._asdict() for row in await session.execute(CONSTRAINTS, {"oid": table.oid})]
