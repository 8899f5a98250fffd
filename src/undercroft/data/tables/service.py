"""The verbs on tables, columns and policies, each as the DDL it stands for.

Names are quoted and types, defaults and policy expressions come from Postgres' own parser, so
nothing a caller sends reaches a statement as it came.
"""

from collections.abc import Sequence

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import expression, quote, quote_literal, type_name
from undercroft.data.tables import queries
from undercroft.data.tables.errors import (
    ColumnNotFound,
    PolicyNotFound,
    StatementRefused,
    TableExists,
    TableNotFound,
)
from undercroft.data.tables.queries import Table
from undercroft.data.tables.schemas import ColumnCreate, PolicyCreate, TableCreate, TableUpdate
from undercroft.foundation.db import notify

RELOAD_CHANNEL = "pgrst"
RELOAD = "reload schema"
# What people write for a numbered column, and the type it is in truth.
SERIALS = {"smallserial": "smallint", "serial": "integer", "bigserial": "bigint"}


async def create_table(session: AsyncSession, schema: str, new: TableCreate) -> tuple[Table, bool]:
    """Create a table, row security on and closed to everyone; return (table, created now?)."""
    await queries.check_schema(session, schema)
    try:
        existing = await queries.get_table(session, schema, new.name)
    except TableNotFound:
        await _create(session, schema, new)
        return await queries.get_table(session, schema, new.name), True
    if not new.if_not_exists:
        raise TableExists(new.name)
    return existing, False


async def _create(session: AsyncSession, schema: str, new: TableCreate) -> None:
    name = f"{quote(schema)}.{quote(new.name)}"
    lines = [_column(column, schema) for column in new.columns]
    if keys := [quote(column.name) for column in new.columns if column.primary_key]:
        lines.append(f"PRIMARY KEY ({', '.join(keys)})")
    statements = [
        f"CREATE TABLE {name} ({', '.join(lines)})",
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"GRANT ALL ON TABLE {name} TO service_role",
        *_comments(name, new),
    ]
    await _run(session, statements, exists=new.name)


async def change_table(session: AsyncSession, table: Table, change: TableUpdate) -> Table:
    statements = []
    if change.description is not None:
        comment = quote_literal(change.description)
        statements.append(f"COMMENT ON TABLE {table.quoted} IS {comment}")
    if change.name is not None and change.name != table.name:
        statements.append(f"ALTER TABLE {table.quoted} RENAME TO {quote(change.name)}")
    await _run(session, statements, exists=change.name)
    return Table(table.oid, table.schema, change.name or table.name)


async def drop_table(session: AsyncSession, table: Table, *, cascade: bool) -> None:
    behaviour = "CASCADE" if cascade else "RESTRICT"
    await _run(session, [f"DROP TABLE {table.quoted} {behaviour}"])


async def add_column(session: AsyncSession, table: Table, column: ColumnCreate) -> None:
    line = _column(column, table.schema)
    statements = [f"ALTER TABLE {table.quoted} ADD COLUMN {line}"]
    if column.description:
        name = f"{table.quoted}.{quote(column.name)}"
        statements.append(f"COMMENT ON COLUMN {name} IS {quote_literal(column.description)}")
    await _run(session, statements, exists=column.name)


async def drop_column(session: AsyncSession, table: Table, column: str) -> None:
    if column not in {found["name"] for found in await queries.list_columns(session, table)}:
        raise ColumnNotFound(column)
    await _run(session, [f"ALTER TABLE {table.quoted} DROP COLUMN {quote(column)} RESTRICT"])


async def create_policy(session: AsyncSession, table: Table, new: PolicyCreate) -> None:
    """Add a policy and the grants that its roles need to use it."""
    parts = [
        f"CREATE POLICY {quote(new.name)} ON {table.quoted}",
        f"AS {'PERMISSIVE' if new.permissive else 'RESTRICTIVE'} FOR {new.command.upper()}",
        f"TO {', '.join('PUBLIC' if role == 'public' else role for role in new.roles)}",
    ]
    if new.using is not None:
        parts.append(f"USING ({expression(new.using)})")
    if new.check is not None:
        parts.append(f"WITH CHECK ({expression(new.check)})")
    await _run(session, [" ".join(parts)], exists=new.name)
    await session.execute(text("SELECT undercroft.grant_by_policies(:oid)"), {"oid": table.oid})


async def drop_policy(session: AsyncSession, table: Table, policy: str) -> None:
    if policy not in {found["name"] for found in await queries.list_policies(session, table)}:
        raise PolicyNotFound(policy)
    await _run(session, [f"DROP POLICY {quote(policy)} ON {table.quoted}"])


def _column(column: ColumnCreate, schema: str) -> str:
    asked = column.type.strip().lower()
    numbered = column.identity or asked in SERIALS
    parts = [quote(column.name), type_name(SERIALS.get(asked, column.type))]
    if numbered:
        parts.append("GENERATED BY DEFAULT AS IDENTITY")
    if not column.nullable:
        parts.append("NOT NULL")
    if column.default is not None:
        parts.append(f"DEFAULT ({expression(column.default)})")
    if column.unique:
        parts.append("UNIQUE")
    if found := column.references:
        target = f"{quote(found.schema_name or schema)}.{quote(found.table)}"
        key = f" ({quote(found.column)})" if found.column else ""
        parts.append(f"REFERENCES {target}{key} ON DELETE {found.on_delete.upper()}")
    return " ".join(parts)


def _comments(name: str, new: TableCreate) -> list[str]:
    lines = [
        f"COMMENT ON COLUMN {name}.{quote(column.name)} IS {quote_literal(column.description)}"
        for column in new.columns
        if column.description
    ]
    if new.description:
        lines.append(f"COMMENT ON TABLE {name} IS {quote_literal(new.description)}")
    return lines


async def _run(
    session: AsyncSession, statements: Sequence[str], *, exists: str | None = None
) -> None:
    """Run DDL and have every node read the schema anew when it commits.

    Raises `TableExists` naming `exists` for a duplicate, `StatementRefused` for what Postgres
    does not accept.
    """
    connection = await session.connection()
    try:
        for statement in statements:
            await connection.exec_driver_sql(statement)
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if not isinstance(cause, asyncpg.PostgresError):
            raise
        state = cause.sqlstate or ""
        if state in {"42P07", "42710", "42701"} and exists:
            raise TableExists(exists) from error
        if state[:2] in {"42", "22", "23", "2B", "0A", "54", "55"}:
            raise StatementRefused(state, str(cause.args[0])) from error
        raise
    await notify(session, RELOAD_CHANNEL, RELOAD)
