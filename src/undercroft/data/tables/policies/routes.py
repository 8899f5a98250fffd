"""`/tables/{table}/policies`: HTTP in and out."""

from undercroft.data.sql_text import ExpressionInvalid
from undercroft.data.tables.access import ProtectedTable
from undercroft.data.tables.errors import (
    ColumnNotFound,
    NameTaken,
    PolicyNotFound,
    PolicyOfPlatform,
    PolicyReadsItself,
    StatementRefused,
    TableBusy,
    TableNotFound,
    TemplateUnfit,
    TypeOfYours,
)
from undercroft.data.tables.policies import queries, service
from undercroft.data.tables.policies.schemas import (
    PolicyCreate,
    PolicyMade,
    PolicyRead,
    PolicyUpdate,
)
from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.db import Page
from undercroft.foundation.http import Router, Session

PERMISSIONS = (Permission("policies:manage", "Decide who may see and write which rows."),)
PROBLEMS = (
    TableNotFound,
    TableBusy,
    NameTaken,
    ExpressionInvalid,
    StatementRefused,
    TypeOfYours,
    PolicyReadsItself,
)

router = Router("/tables/{table}/policies", tag="data")


@router.get("", access=Needs("tables:read"), problems=(TableNotFound,))
async def list_policies(table: ProtectedTable, session: Session) -> Page[PolicyRead]:
    """Who may do what with which rows."""
    rows = await queries.list_policies(session, table)
    return Page[PolicyRead].whole([PolicyRead.model_validate(row) for row in rows])


@router.post(
    "",
    access=Needs("policies:manage"),
    status_code=201,
    problems=(*PROBLEMS, ColumnNotFound, TemplateUnfit),
)
async def create_policy(new: PolicyCreate, table: ProtectedTable, session: Session) -> PolicyMade:
    """Add a policy, written out or by template. Its roles get the privileges that it needs."""
    index = await service.create_policy(session, table, new)
    return PolicyMade(**await queries.get_policy(session, table, new.name), needs_index=index)


@router.patch(
    "/{policy:path}",
    access=Needs("policies:manage"),
    problems=(*PROBLEMS, PolicyNotFound, PolicyOfPlatform),
)
async def change_policy(
    policy: str, change: PolicyUpdate, table: ProtectedTable, session: Session
) -> PolicyRead:
    """Rename a policy or change whom it is for and what it allows."""
    name = await service.change_policy(session, table, policy, change)
    return PolicyRead(**await queries.get_policy(session, table, name))


@router.delete(
    "/{policy:path}",
    access=Needs("policies:manage"),
    status_code=204,
    problems=(TableNotFound, PolicyNotFound, TableBusy, PolicyOfPlatform),
)
async def drop_policy(policy: str, table: ProtectedTable, session: Session) -> None:
    """Remove a policy; what only it allowed is closed at once."""
    await service.drop_policy(session, table, policy)
