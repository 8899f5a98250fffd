"""The verbs on policies. Postgres checks an expression when the policy is made."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import policy_conditions, quote
from undercroft.data.tables.ddl import run_ddl
from undercroft.data.tables.errors import PolicyNotFound
from undercroft.data.tables.policies import queries
from undercroft.data.tables.policies.endless import refuse_endless_policies
from undercroft.data.tables.policies.ours import is_ours, refuse_platform_policy, understood
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
    if is_ours(table):
        using, check = await understood(session, table, using, check)
    parts = [
        f"CREATE POLICY {quote(new.name)} ON {table.quoted}",
        f"AS {'PERMISSIVE' if new.permissive else 'RESTRICTIVE'} FOR {command.upper()}",
        f"TO {_roles(roles)}",
        policy_conditions(using, check),
    ]
    await _run(session, table, [" ".join(parts)], taken=new.name)
    await refuse_endless_policies(session, table)
    await session.execute(GRANT, {"oid": table.oid})
    return await _index(session, table, new)


async def change_policy(
    session: AsyncSession, table: Table, name: str, change: PolicyUpdate
) -> str:
    """Change a policy and return its name afterwards."""
    await queries.get_policy(session, table, name)
    refuse_platform_policy(table, name)
    using, check = change.using, change.check
    if is_ours(table) and (using is not None or check is not None):
        using, check = await understood(session, table, using, check)
    statements = []
    roles = f"TO {_roles(change.roles)}" if change.roles else ""
    parts = f"{roles} {policy_conditions(using, check)}".strip()
    if parts:
        statements.append(f"ALTER POLICY {quote(name)} ON {table.quoted} {parts}")
    if change.name is not None and change.name != name:
        renamed = f"RENAME TO {quote(change.name)}"
        statements.append(f"ALTER POLICY {quote(name)} ON {table.quoted} {renamed}")
    await _run(session, table, statements, taken=change.name)
    if parts:
        await refuse_endless_policies(session, table)
    await session.execute(GRANT, {"oid": table.oid})
    return change.name or name


async def drop_policy(session: AsyncSession, table: Table, name: str) -> None:
    await queries.get_policy(session, table, name)
    refuse_platform_policy(table, name)
    statement = f"DROP POLICY {quote(name)} ON {table.quoted}"
    await _run(session, table, [statement], gone=PolicyNotFound(name))


async def _run(
    session: AsyncSession, table: Table, statements: Sequence[str], **refusals: Any
) -> None:
    await run_ddl(session, statements, schema=table.schema, as_platform=is_ours(table), **refusals)


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
