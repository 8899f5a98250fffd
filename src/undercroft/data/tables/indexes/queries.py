"""What the catalogue says about a table's indexes, and what builds are under way."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.tables.queries import HELD, Table

INDEXES = text(f"""
    SELECT c.relname AS name, m.amname AS method, i.indisunique AS unique,
           i.indisprimary AS primary,
           (SELECT k.conname FROM pg_constraint k
             WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid
               AND k.contype IN ('p', 'u', 'x')) AS constraint,
           ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true)
                   FROM generate_series(1, i.indnkeyatts) AS n) AS columns,
           ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true)
                   FROM generate_series(i.indnkeyatts + 1, i.indnatts) AS n) AS include,
           pg_get_expr(i.indpred, i.indrelid) AS where,
           pg_get_indexdef(i.indexrelid) AS definition,
           CASE WHEN i.indexrelid = ANY ({HELD})
                THEN c.relpages::bigint * current_setting('block_size')::bigint
                ELSE pg_relation_size(i.indexrelid) END AS size_bytes,
           coalesce(s.idx_scan, 0) AS scans,
           obj_description(i.indexrelid, 'pg_class') AS description,
           CASE WHEN i.indisvalid AND i.indisready THEN 'ready'
                ELSE coalesce(b.state, 'failed') END AS state,
           b.reason
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_am m ON m.oid = c.relam
      LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid
      LEFT JOIN undercroft.index_builds b
             ON b.schema_name = n.nspname AND b.index_name = c.relname
     WHERE i.indrelid = :oid
     ORDER BY c.relname
""")  # noqa: S608 - a constant of ours
# Not begun, or failed and cleaned up: there is no index to read.
BUILDS = text("""
    SELECT b.index_name AS name, b.state, b.reason, '' AS method, false AS unique,
           false AS primary, NULL AS constraint, '{}'::text[] AS columns,
           '{}'::text[] AS include, NULL AS where, b.statement AS definition,
           0 AS size_bytes, 0 AS scans, NULL AS description
      FROM undercroft.index_builds b
     WHERE b.table_oid = :oid AND NOT EXISTS (
         SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = b.schema_name AND c.relname = b.index_name)
     ORDER BY b.index_name
""")


FIND_BUILD = text("""
    SELECT id, schema_name, index_name, statement, state
      FROM undercroft.index_builds WHERE id = :id
""")


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """An index that a job is to make, or that one could not."""

    id: UUID
    schema_name: str
    index_name: str
    statement: str
    state: str


async def find_build(session: AsyncSession, build_id: UUID) -> IndexBuild | None:
    row = (await session.execute(FIND_BUILD, {"id": build_id})).one_or_none()
    return IndexBuild(**row._asdict()) if row else None


async def list_indexes(session: AsyncSession, table: Table) -> list[dict[str, Any]]:
    """Indexes by name, then builds that have no index yet."""
    found = []
    for statement in (INDEXES, BUILDS):
        rows = await session.execute(statement, {"oid": table.oid})
        found += [row._asdict() for row in rows]
    return found
