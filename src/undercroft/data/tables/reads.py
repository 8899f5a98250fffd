"""A whole table on the wire: what all the parts of this domain know of it."""

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.tables import queries
from undercroft.data.tables.constraints.queries import list_constraints
from undercroft.data.tables.constraints.schemas import ConstraintRead
from undercroft.data.tables.indexes.queries import list_indexes
from undercroft.data.tables.indexes.schemas import IndexRead
from undercroft.data.tables.policies.queries import list_policies
from undercroft.data.tables.policies.schemas import PolicyRead
from undercroft.data.tables.queries import Table
from undercroft.data.tables.schemas import ColumnRead, ForeignKeyRead, TableSummary


class TableRead(TableSummary):
    columns: list[ColumnRead]
    primary_key: list[str]
    foreign_keys: list[ForeignKeyRead]
    constraints: list[ConstraintRead]
    indexes: list[IndexRead]
    policies: list[PolicyRead]


class Created(BaseModel):
    """`created` is false when the table existed and `if_not_exists` was set."""

    created: bool
    table: TableRead


async def read_table(session: AsyncSession, table: Table) -> TableRead:
    columns = await queries.list_columns(session, table)
    constraints = await list_constraints(session, table)
    return TableRead(
        **await queries.get_summary(session, table),
        columns=[ColumnRead.model_validate(row) for row in columns],
        primary_key=await queries.list_primary_key(session, table),
        foreign_keys=[
            ForeignKeyRead.model_validate(row)
            for row in constraints
            if row["kind"] == "foreign_key"
        ],
        constraints=[ConstraintRead.model_validate(row) for row in constraints],
        indexes=[IndexRead.model_validate(row) for row in await list_indexes(session, table)],
        policies=[PolicyRead.model_validate(row) for row in await list_policies(session, table)],
    )
