"""The verbs on policies. Postgres checks an expression when the policy is made."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import expression, quote
from undercroft.data.tables.ddl import run_ddl
from undercroft.data.tables.policies import queries
from undercroft.data.tables.policies.schemas import (
    NeededIndex,
    PolicyCreate,
    PolicyUpdate,
    PublicRead,
)
from undercroft.data.tables.policies.templates import condition, indexed_column
from undercroft.data.tables.queries import Table, is_exposed, list_columns

GRANT = text("SELECT undercroft.grant_by_policies(:oid)")


async def create_policy(
    session: AsyncSession, table: Table, new: PolicyCreate
) -> NeededIndex | None:
    """Add a policy and the grants that its roles need; return the index its template needs."""
    public = isinstance(new.template, PublicRead)
    command = new.command or ("select" if public else "all")
    roles = new.roles or (["anon", "authenticated"] if public else ["authenticated"])
    using, check = new.using, new.check
    if new.template is not None:
        columns = await list_columns(session, table)
        found = condition(new.template, {row["name"]: row["type"] for row in columns})
        using, check = (None, found) if command == "insert" else (found, None)
    parts = [
        f"CREATE POLICY {quote(new.name)} ON {table.quoted}",
        f"AS {'PERMISSIVE' if new.permissive else 'RESTRICTIVE'} FOR {command.upper()}",
        f"TO {_roles(roles)}",
        *_conditions(using, check),
    ]
    await run_ddl(session, [" ".join(parts)], schema=table.schema, taken=new.name)
    await session.execute(GRANT, {"oid": table.oid})
    return await _index(session, table, new)


async def change_policy(
    session: AsyncSession, table: Table, name: str, change: PolicyUpdate
) -> str:
    """Change a policy and return its name afterwards."""
    await queries.get_policy(session, table, name)
    statements = []
    parts = [f"TO {_roles(change.roles)}"] if change.roles else []
    parts += _conditions(change.using, change.check)
    if parts:
        statements.append(f"ALTER POLICY {quote(name)} ON {table.quoted} {' '.join(parts)}")
    if change.name is not None and change.name != name:
        renamed = f"RENAME TO {quote(change.name)}"
        statements.append(f"ALTER POLICY {quote(name)} ON {table.quoted} {renamed}")
    await run_ddl(session, statements, schema=table.schema, taken=change.name)
    await session.execute(GRANT, {"oid": table.oid})
    return change.name or name


async def drop_policy(session: AsyncSession, table: Table, name: str) -> None:
    await queries.get_policy(session, table, name)
    statement = f"DROP POLICY {quote(name)} ON {table.quoted}"
    await run_ddl(session, [statement], schema=table.schema)


async def _index(session: AsyncSession, table: Table, new: PolicyCreate) -> NeededIndex | None:
    column = indexed_column(new.template)
    if column is None:
        return None
    sql = f"CREATE INDEX ON {table.quoted} ({quote(column)})"
    exists = await queries.has_index(session, table, column)
    if new.create_index and not exists and await is_exposed(session, table.schema):
        await run_ddl(session, [sql], schema=table.schema)
        exists = True
    return NeededIndex(column=column, exists=exists, sql=sql)


def _roles(roles: Sequence[str]) -> str:
    return ", ".join("PUBLIC" if role == "public" else role for role in roles)


def _conditions(using: str | None, check: str | None) -> list[str]:
    parts = []
    if using is not None:
        parts.append(f"USING ({expression(using)})")
    if check is not None:
        parts.append(f"WITH CHECK ({expression(check)})")
    return parts
