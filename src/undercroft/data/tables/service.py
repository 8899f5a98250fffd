"""The verbs on tables, each as the DDL it stands for.

Names are quoted and types, defaults and policy expressions come from Postgres' own parser, so
nothing a caller sends reaches a statement as it came.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import quote, quote_literal
from undercroft.data.tables import queries
from undercroft.data.tables.columns import check_columns, written
from undercroft.data.tables.ddl import run_ddl
from undercroft.data.tables.errors import TableExists, TableNotFound
from undercroft.data.tables.policies.endless import refuse_endless_policies
from undercroft.data.tables.queries import Table
from undercroft.data.tables.schemas import TableCreate, TableUpdate
from undercroft.foundation.access import Actor
from undercroft.foundation.problems import MissingPermission

SWITCHES_SECURITY = "policies:manage"


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
    await check_columns(session, schema, new.columns)
    name = f"{quote(schema)}.{quote(new.name)}"
    lines = [written(column, schema) for column in new.columns]
    if keys := [quote(column.name) for column in new.columns if column.primary_key]:
        lines.append(f"PRIMARY KEY ({', '.join(keys)})")
    statements = [
        f"CREATE TABLE {name} ({', '.join(lines)})",
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"GRANT ALL ON TABLE {name} TO service_role",
        *_comments(name, new),
    ]
    await run_ddl(session, statements, schema=schema, taken=new.name, taken_table=True)


async def change_table(
    session: AsyncSession, table: Table, change: TableUpdate, *, actor: Actor
) -> Table:
    """Change what is named. Raises `MissingPermission` for row security without its permission."""
    statements = []
    if change.row_security is not None:
        if not actor.has(SWITCHES_SECURITY):
            raise MissingPermission(SWITCHES_SECURITY)
        switch = "ENABLE" if change.row_security else "DISABLE"
        statements.append(f"ALTER TABLE {table.quoted} {switch} ROW LEVEL SECURITY")
    if "description" in change.model_fields_set:
        comment = "NULL" if change.description is None else quote_literal(change.description)
        statements.append(f"COMMENT ON TABLE {table.quoted} IS {comment}")
    if change.name is not None and change.name != table.name:
        statements.append(f"ALTER TABLE {table.quoted} RENAME TO {quote(change.name)}")
    await run_ddl(session, statements, schema=table.schema, taken=change.name, taken_table=True)
    changed = Table(table.oid, table.schema, change.name or table.name)
    if change.row_security:
        await refuse_endless_policies(session, changed)
    return changed


async def drop_table(session: AsyncSession, table: Table, *, cascade: bool) -> None:
    behaviour = "CASCADE" if cascade else "RESTRICT"
    statement = f"DROP TABLE {table.quoted} {behaviour}"
    await run_ddl(session, [statement], schema=table.schema, gone=TableNotFound(table.name))


def _comments(name: str, new: TableCreate) -> list[str]:
    lines = [
        f"COMMENT ON COLUMN {name}.{quote(column.name)} IS {quote_literal(column.description)}"
        for column in new.columns
        if column.description
    ]
    if new.description:
        lines.append(f"COMMENT ON TABLE {name} IS {quote_literal(new.description)}")
    return lines
