"""Why somebody may or may not: every group, role and policy that was looked at."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.identity.access import queries
from undercroft.identity.access.models import SUPER_ADMIN, Group
from undercroft.identity.access.schemas import Explanation, Reason
from undercroft.identity.users.models import UserStatus
from undercroft.identity.users.queries import get_user

POLICIES = text("""
    SELECT policyname, cmd, roles::text[] AS roles, permissive = 'PERMISSIVE' AS opens,
           coalesce(qual, with_check, 'true') AS rule
      FROM pg_policies
     WHERE schemaname = :schema AND tablename = :table ORDER BY policyname
""")
ORGANIZATION_ROLE = text("""
    SELECT m.role FROM auth.memberships m
     WHERE m.user_id = :user_id AND m.organization_id = :organization_id
""")
SEES_EVERY_ORGANIZATION = "organizations:manage"


async def explain(
    session: AsyncSession, user_id: UUID, permission: str, resource: str | None
) -> Explanation:
    """Decide as the gate would. `resource` is `organization:<id>` or a table, `public.flights`."""
    (wanted,) = await queries.resolve_permissions(session, [permission])
    user = await get_user(session, user_id)
    account = _account(UserStatus(user.status))
    groups = await _groups(session, user_id, wanted)
    allowed = bool(account.allows) and any(reason.allows for reason in groups)
    reasons = [account, *groups]
    if not any(reason.allows for reason in groups):
        reasons.append(await _missing(session, wanted))
    if resource:
        about = await _about(session, user_id, resource)
        reasons += about
        allowed = allowed and not any(reason.allows is False for reason in about)
    return Explanation(allowed=allowed, reasons=reasons)


def _account(status: UserStatus) -> Reason:
    return Reason(
        kind="account",
        name=status.value,
        allows=status.may_sign_in,
        detail="May sign in." if status.may_sign_in else "No token of this account is accepted.",
    )


async def _groups(session: AsyncSession, user_id: UUID, wanted: str) -> list[Reason]:
    groups = await queries.groups_of_user(session, user_id)
    held = await queries.permissions_by_group(session, [group.id for group in groups])
    return [_group(group, held.get(group.id, []), wanted) for group in groups]


def _group(group: Group, held: list[str], wanted: str) -> Reason:
    gives = group.codename == SUPER_ADMIN or wanted in held
    detail = f"Gives {wanted}." if gives else f"Does not give {wanted}."
    if gives and not group.is_active:
        detail = f"Would give {wanted}, but is switched off."
    return Reason(
        kind="group", name=group.codename, allows=gives and group.is_active, detail=detail
    )


async def _missing(session: AsyncSession, wanted: str) -> Reason:
    givers = ", ".join(await queries.groups_giving(session, wanted)) or "none"
    return Reason(
        kind="group",
        name=SUPER_ADMIN,
        allows=False,
        detail=f"In no group that gives {wanted}. Groups that do, beside super_admin: {givers}.",
    )


async def _about(session: AsyncSession, user_id: UUID, resource: str) -> list[Reason]:
    kind, _, name = resource.partition(":")
    if kind == "organization":
        return [await _role(session, user_id, name)]
    schema, _, table = resource.rpartition(".")
    return await _policies(session, schema or "public", table)


async def _role(session: AsyncSession, user_id: UUID, organization: str) -> Reason:
    try:
        ids = {"user_id": user_id, "organization_id": UUID(organization)}
    except ValueError:
        return Reason(kind="role", name="none", allows=False, detail="Not an organization's id.")
    role = await session.scalar(ORGANIZATION_ROLE, ids)
    if role:
        return Reason(kind="role", name=role, allows=True, detail=f"Is {role} there.")
    held = await queries.permissions_of_user(session, user_id)
    sees = SEES_EVERY_ORGANIZATION in held
    detail = (
        f"No member, but {SEES_EVERY_ORGANIZATION} reaches every organization."
        if sees
        else "No member: the organization does not exist for this account."
    )
    return Reason(kind="role", name="none", allows=sees, detail=detail)


async def _policies(session: AsyncSession, schema: str, table: str) -> list[Reason]:
    rows = (await session.execute(POLICIES, {"schema": schema, "table": table})).all()
    if not rows:
        detail = "No policy on this table: closed to anon and authenticated."
        return [Reason(kind="policy", name=f"{schema}.{table}", allows=False, detail=detail)]
    return [
        Reason(
            kind="policy",
            name=row.policyname,
            allows=None,
            detail=f"{'Opens' if row.opens else 'Restricts'} {row.cmd} for "
            f"{', '.join(row.roles)} where {row.rule}",
        )
        for row in rows
    ]
