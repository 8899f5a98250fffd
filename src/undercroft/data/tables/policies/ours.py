"""Policies of the platform's own tables: files, buckets, messages. They are customers' to decide.

Only the owner of a table makes its policies, which is the control plane, and Postgres runs some
code while it reads an expression: a literal of a customer's type goes through that type's checks.
So the developer reads it first, into a policy of a temporary table with the same columns. What
Postgres understood is written out by Postgres, and goes on only if all its types are built in. Not
even enums go on: by the time the control plane reads the name, it may be that of a domain.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import policy_conditions, quote
from undercroft.data.tables.ddl import run_ddl
from undercroft.data.tables.errors import PolicyOfPlatform, TypeOfYours
from undercroft.data.tables.queries import Table

OURS = frozenset({"storage", "realtime"})
KEEPS_CLOSED = "system buckets are closed"
COLUMNS = text("""
    SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', '
                      ORDER BY attnum)
      FROM pg_attribute WHERE attrelid = :oid AND attnum > 0 AND NOT attisdropped
""")
UNDERSTOOD = text("""
    SELECT pg_get_expr(p.polqual, p.polrelid) AS using,
           pg_get_expr(p.polwithcheck, p.polrelid) AS check,
           (SELECT min(format_type(t.oid, NULL))
              FROM pg_depend d
              JOIN pg_type t ON t.oid = d.refobjid
             WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
               AND d.refclassid = 'pg_type'::regclass
               AND t.typnamespace <> 'pg_catalog'::regnamespace) AS foreign_type
      FROM pg_policy p
     WHERE p.polrelid = to_regclass(:scratch) AND p.polname = 'read'
""")


def is_ours(table: Table) -> bool:
    return table.schema in OURS


def refuse_platform_policy(table: Table, name: str) -> None:
    """Raise `PolicyOfPlatform` for what keeps the buckets of the wings closed."""
    if is_ours(table) and name == KEEPS_CLOSED:
        raise PolicyOfPlatform(name)


async def understood(
    session: AsyncSession, table: Table, using: str | None, check: str | None
) -> tuple[str | None, str | None]:
    """Both conditions as Postgres writes them, every name in full. Raises `TypeOfYours`."""
    scratch = f"pg_temp.{quote(table.name)}"
    columns = await session.scalar(COLUMNS, {"oid": table.oid})
    await run_ddl(
        session,
        [
            f"CREATE TEMPORARY TABLE {scratch} ({columns}) ON COMMIT DROP",
            f"CREATE POLICY read ON {scratch} {policy_conditions(using, check)}",
        ],
        schema=table.schema,
    )
    found = (await session.execute(UNDERSTOOD, {"scratch": scratch})).one()
    await run_ddl(session, [f"DROP TABLE {scratch}"], schema=table.schema)
    if found.foreign_type is not None:
        raise TypeOfYours(table.name, found.foreign_type)
    return found.using, found.check
