"""The verbs on indexes.

An index is made in the request's transaction, which locks the table against writes while it is
built; asked `concurrently`, by a job that does not, after the commit.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import expression, quote
from undercroft.data.tables.ddl import run_ddl
from undercroft.data.tables.errors import IndexNotFound, NameTaken, StatementRefused
from undercroft.data.tables.indexes import queries
from undercroft.data.tables.indexes.schemas import IndexCreate, IndexPart
from undercroft.data.tables.queries import Table
from undercroft.data.tables.schemas import LONGEST_NAME
from undercroft.foundation.ids import new_id

WRITE_DOWN = text("""
    INSERT INTO undercroft.index_builds (id, table_oid, schema_name, index_name, statement, state)
    VALUES (:id, :oid, :schema, :name, :statement, 'building')
        ON CONFLICT (schema_name, index_name) DO UPDATE
       SET id = excluded.id, table_oid = excluded.table_oid, statement = excluded.statement,
           state = 'building', reason = NULL, updated_at = now()
     WHERE index_builds.state = 'failed'
        OR NOT EXISTS (SELECT FROM pg_class WHERE pg_class.oid = index_builds.table_oid::oid)
    RETURNING id
""")
FAIL = text("""
    UPDATE undercroft.index_builds
       SET state = 'failed', reason = left(:reason, 2000), updated_at = now() WHERE id = :id
""")
IS_PARTITIONED = text("SELECT relkind = 'p' FROM pg_class WHERE oid = :oid")
IS_TAKEN = text("""
    SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = :schema AND c.relname = :name)
        OR EXISTS (SELECT FROM undercroft.index_builds
                    WHERE schema_name = :schema AND index_name = :name)
""")
FORGET = text("DELETE FROM undercroft.index_builds WHERE id = :id")
FORGET_NAMED = text("""
    DELETE FROM undercroft.index_builds WHERE schema_name = :schema AND index_name = :name
""")


async def create_index(session: AsyncSession, table: Table, new: IndexCreate) -> str:
    """Build an index now and return its name."""
    name = new.name or await _proposed(session, table, new)
    statement = f"CREATE {_unique(new)}INDEX {quote(name)} {_definition(table, new)}"
    await run_ddl(session, [statement], schema=table.schema, taken=name)
    return name


async def plan_index(session: AsyncSession, table: Table, new: IndexCreate) -> tuple[str, UUID]:
    """Write down an index to be built later; return its name and what to hand to the job.

    The definition is tried out on an empty copy of the table first: a mistake is refused now.
    """
    if await session.scalar(IS_PARTITIONED, {"oid": table.oid}):
        raise StatementRefused("0A000", "A partitioned table's index is not made concurrently.")
    name = new.name or await _proposed(session, table, new)
    if name in {row["name"] for row in await queries.list_indexes(session, table)}:
        raise NameTaken(name)
    definition = _definition(table, new)
    await _try_out(session, table, new)
    values = {
        "id": new_id(),
        "oid": table.oid,
        "schema": table.schema,
        "name": name,
        "statement": f"CREATE {_unique(new)}INDEX CONCURRENTLY {quote(name)} {definition}",
    }
    build_id: UUID | None = await session.scalar(WRITE_DOWN, values)
    if build_id is None:
        raise NameTaken(name)
    return name, build_id


async def drop_index(session: AsyncSession, table: Table, name: str) -> None:
    """Drop an index that is no constraint's, or forget a build that failed."""
    rows = {row["name"]: row for row in await queries.list_indexes(session, table)}
    if name not in rows:
        raise IndexNotFound(name)
    await session.execute(FORGET_NAMED, {"schema": table.schema, "name": name})
    if rows[name]["method"]:
        statement = f"DROP INDEX {quote(table.schema)}.{quote(name)}"
        await run_ddl(session, [statement], schema=table.schema, gone=IndexNotFound(name))


async def get_index(session: AsyncSession, table: Table, name: str) -> dict[str, Any]:
    for row in await queries.list_indexes(session, table):
        if row["name"] == name:
            return row
    raise IndexNotFound(name)


async def end_build(session: AsyncSession, build_id: UUID, *, reason: str | None) -> None:
    """Forget a build whose index is there, or keep why it is not."""
    if reason is None:
        await session.execute(FORGET, {"id": build_id})
    else:
        await session.execute(FAIL, {"id": build_id, "reason": reason})


async def _try_out(session: AsyncSession, table: Table, new: IndexCreate) -> None:
    copy = Table(0, "pg_temp", "undercroft_index_trial")
    statements = [
        f"CREATE TEMPORARY TABLE {copy.quoted} (LIKE {table.quoted}) ON COMMIT DROP",
        f"CREATE {_unique(new)}INDEX {_definition(copy, new)}",
        f"DROP TABLE {copy.quoted}",
    ]
    await run_ddl(session, statements, schema=table.schema)


def _unique(new: IndexCreate) -> str:
    return "UNIQUE " if new.unique else ""


def _definition(table: Table, new: IndexCreate) -> str:
    parts = [
        f"ON {table.quoted} USING {new.method}",
        f"({', '.join(_part(part) for part in new.parts())})",
    ]
    if new.include:
        parts.append(f"INCLUDE ({', '.join(quote(name) for name in new.include)})")
    if new.where is not None:
        parts.append(f"WHERE {expression(new.where)}")
    return " ".join(parts)


def _part(part: IndexPart) -> str:
    words = [quote(part.column) if part.column else f"({expression(part.expression or '')})"]
    if part.opclass:
        words.append(quote(part.opclass))
    if part.order:
        words.append(part.order.upper())
    if part.nulls:
        words.append(f"NULLS {part.nulls.upper()}")
    return " ".join(words)


async def _proposed(session: AsyncSession, table: Table, new: IndexCreate) -> str:
    """A name like Postgres' own: long ones are cut as it would, and numbered where one is taken."""
    words = [table.name, *(part.column or "expr" for part in new.parts())]
    ending = "key" if new.unique else "idx"
    number = 0
    while True:
        end = f"_{ending}{number or ''}"
        base = "_".join(words).encode()[: LONGEST_NAME - len(end)].decode(errors="ignore")
        values = {"schema": table.schema, "name": base + end}
        if not await session.scalar(IS_TAKEN, values):
            return base + end
        number += 1
