"""`/tables/{table}/constraints`: HTTP in and out."""

from typing import Annotated

from fastapi import Query

from undercroft.data.sql_text import ExpressionInvalid
from undercroft.data.tables.access import ExistingTable
from undercroft.data.tables.constraints import queries, service
from undercroft.data.tables.constraints.schemas import ConstraintCreate, ConstraintRead
from undercroft.data.tables.errors import (
    ColumnNotFound,
    ConstraintNotFound,
    NameTaken,
    SchemaNotFound,
    StatementRefused,
    TableBusy,
    TableNotFound,
)
from undercroft.foundation.access import Needs
from undercroft.foundation.db import Page
from undercroft.foundation.http import Router, Session

router = Router("/tables/{table}/constraints", tag="data")


@router.get("", access=Needs("tables:read"), problems=(TableNotFound,))
async def list_constraints(table: ExistingTable, session: Session) -> Page[ConstraintRead]:
    """Keys, checks and foreign keys of a table."""
    rows = await queries.list_constraints(session, table)
    return Page[ConstraintRead].whole([ConstraintRead.model_validate(row) for row in rows])


@router.post(
    "",
    access=Needs("tables:update"),
    status_code=201,
    problems=(
        TableNotFound,
        SchemaNotFound,
        ColumnNotFound,
        NameTaken,
        TableBusy,
        ExpressionInvalid,
        StatementRefused,
    ),
)
async def add_constraint(
    new: ConstraintCreate, table: ExistingTable, session: Session
) -> ConstraintRead:
    """Add a key, a check or a foreign key. Refused when rows do not meet it."""
    return ConstraintRead.model_validate(await service.add_constraint(session, table, new))


@router.delete(
    "/{constraint:path}",
    access=Needs("tables:update"),
    status_code=204,
    problems=(TableNotFound, ConstraintNotFound, TableBusy, StatementRefused),
)
async def drop_constraint(
    constraint: str,
    table: ExistingTable,
    session: Session,
    cascade: Annotated[bool, Query(description="Also foreign keys that refer to it.")] = False,
) -> None:
    """Drop a constraint."""
    await service.drop_constraint(session, table, constraint, cascade=cascade)
