"""The verbs on constraints."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql_text import expression, quote
from undercroft.data.tables.columns import check_reference
from undercroft.data.tables.constraints import queries
from undercroft.data.tables.constraints.schemas import (
    Check,
    ConstraintCreate,
    ForeignKey,
    PrimaryKey,
    Unique,
)
from undercroft.data.tables.ddl import run_ddl
from undercroft.data.tables.errors import ConstraintNotFound
from undercroft.data.tables.queries import Table
from undercroft.data.tables.schemas import Reference


async def add_constraint(
    session: AsyncSession, table: Table, new: ConstraintCreate
) -> dict[str, Any]:
    """Add a constraint that all rows meet; return it as the catalogue has it."""
    if isinstance(new, ForeignKey):
        target = Reference(table=new.references_table, schema_name=new.references_schema)
        await check_reference(session, target, table.schema, new.references_columns)
    name = f"CONSTRAINT {quote(new.name)} " if new.name else ""
    statement = f"ALTER TABLE {table.quoted} ADD {name}{_definition(new, table.schema)}"
    await run_ddl(session, [statement], schema=table.schema, taken=new.name)
    # Postgres chose the name if we did not; the newest is ours.
    return max(await queries.list_constraints(session, table), key=lambda row: int(row["oid"]))


async def drop_constraint(session: AsyncSession, table: Table, name: str, *, cascade: bool) -> None:
    if name not in {row["name"] for row in await queries.list_constraints(session, table)}:
        raise ConstraintNotFound(name)
    behaviour = "CASCADE" if cascade else "RESTRICT"
    statement = f"ALTER TABLE {table.quoted} DROP CONSTRAINT {quote(name)} {behaviour}"
    await run_ddl(session, [statement], schema=table.schema, gone=ConstraintNotFound(name))


def _definition(new: ConstraintCreate, schema: str) -> str:
    match new:
        case PrimaryKey():
            return f"PRIMARY KEY ({_list(new.columns)})"
        case Unique():
            nulls = " NULLS NOT DISTINCT" if new.nulls_not_distinct else ""
            return f"UNIQUE{nulls} ({_list(new.columns)})"
        case Check():
            return f"CHECK ({expression(new.expression)})"
        case ForeignKey():
            target = f"{quote(new.references_schema or schema)}.{quote(new.references_table)}"
            key = f" ({_list(new.references_columns)})" if new.references_columns else ""
            actions = f"ON DELETE {new.on_delete.upper()} ON UPDATE {new.on_update.upper()}"
            deferred = " DEFERRABLE INITIALLY DEFERRED" if new.deferrable else ""
            return (
                f"FOREIGN KEY ({_list(new.columns)}) REFERENCES {target}{key} {actions}{deferred}"
            )


def _list(names: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in names)
