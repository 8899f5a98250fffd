"""Every SELECT about organizations."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from undercroft.foundation.access import Actor
from undercroft.foundation.db import PageRequest, Sorts, containing, paginate
from undercroft.identity.access.models import ApiKey
from undercroft.identity.organizations.errors import MemberNotFound, OrganizationNotFound
from undercroft.identity.organizations.models import (
    Invitation,
    Membership,
    Organization,
    OrganizationRole,
)
from undercroft.identity.users.models import User
from undercroft.identity.users.queries import FOR_THIS_TEXT


async def get_organization(
    session: AsyncSession, organization_id: UUID, *, lock: bool = False
) -> Organization:
    """Locked, nobody else changes its members, roles and invitations until commit."""
    statement = select(Organization).where(Organization.id == organization_id)
    if lock:
        # Rows that refer to the organization may still be made meanwhile.
        statement = statement.with_for_update(key_share=True)
    found: Organization | None = await session.scalar(statement)
    if found is None:
        raise OrganizationNotFound
    return found


async def find_role(
    session: AsyncSession, organization_id: UUID, actor: Actor
) -> OrganizationRole | None:
    """The caller's role. A key has its creator's, but never above member."""
    return _role_of(await session.scalar(_role_query(organization_id, actor)), actor)


async def get_organization_and_role(
    session: AsyncSession, organization_id: UUID, actor: Actor
) -> tuple[Organization, OrganizationRole | None]:
    """Both in one query, for those who only read."""
    role = _role_query(organization_id, actor).scalar_subquery()
    statement = select(Organization, role).where(Organization.id == organization_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise OrganizationNotFound
    return row[0], _role_of(row[1], actor)


def _role_query(organization_id: UUID, actor: Actor) -> Select[str]:
    statement = select(Membership.role).where(Membership.organization_id == organization_id)
    if actor.api_key_id and actor.organization_id == organization_id:
        creator = select(ApiKey.created_by).where(ApiKey.id == actor.api_key_id)
        return statement.where(Membership.user_id == creator.scalar_subquery())
    return statement.where(Membership.user_id == actor.user_id)


def _role_of(role: str | None, actor: Actor) -> OrganizationRole | None:
    if role is None:
        return None
    found = OrganizationRole(role)
    return max(found, OrganizationRole.MEMBER, key=_rank) if actor.api_key_id else found


async def list_organizations(
    session: AsyncSession,
    page: PageRequest,
    *,
    of: UUID | None,
    search: str | None,
    is_active: bool | None,
) -> tuple[list[Organization], str | None, int | None]:
    """Newest first; those of one user, or all. `search` is a part of name or slug."""
    statement = select(Organization)
    if of:
        mine = select(Membership.organization_id).where(Membership.user_id == of)
        statement = statement.where(Organization.id.in_(mine))
    if is_active is not None:
        statement = statement.where(Organization.is_active == is_active)
    if search:
        # A plan made for any text would read every organization where few match.
        await session.execute(FOR_THIS_TEXT)
        statement = statement.where(containing(search, Organization.name, Organization.slug))
    keys = (Organization.created_at, Organization.id)
    sorts: Sorts = {
        "created_at": Organization.created_at,
        "name": Organization.name,
        "slug": Organization.slug,
    }
    return await paginate(session, statement, page, keys=keys, sorts=sorts)


async def count_members(
    session: AsyncSession, organization_ids: Collection[UUID], user_id: UUID | None
) -> dict[UUID, tuple[int, OrganizationRole | None]]:
    """Number of members and the user's own role, of each organization."""
    own = func.max(Membership.role).filter(Membership.user_id == user_id)
    statement = (
        select(Membership.organization_id, func.count(), own)
        .where(Membership.organization_id.in_(organization_ids))
        .group_by(Membership.organization_id)
    )
    rows = (await session.execute(statement)).all()
    return {row[0]: (row[1], OrganizationRole(row[2]) if row[2] else None) for row in rows}


async def list_members(
    session: AsyncSession,
    organization_id: UUID,
    page: PageRequest,
    *,
    role: OrganizationRole | None,
    search: str | None,
) -> tuple[list[tuple[Membership, User]], str | None, int | None]:
    """In the order in which they joined. `search` is the start of a name or username."""
    statement = select(Membership).where(Membership.organization_id == organization_id)
    if role:
        statement = statement.where(Membership.role == role)
    if search:
        fields: tuple[Any, ...] = (User.first_name, User.last_name, User.username)
        statement = statement.join(User, User.id == Membership.user_id).where(
            or_(
                *(func.lower(field).startswith(search.lower(), autoescape=True) for field in fields)
            )
        )
    keys = (Membership.joined_at, Membership.user_id)
    sorts: Sorts = {"joined_at": Membership.joined_at}
    found, cursor, total = await paginate(
        session, statement, page, keys=keys, descending=False, sorts=sorts
    )
    people = await _users(session, [membership.user_id for membership in found])
    return [(membership, people[membership.user_id]) for membership in found], cursor, total


async def get_membership(session: AsyncSession, organization_id: UUID, user_id: UUID) -> Membership:
    membership = await session.get(Membership, (organization_id, user_id))
    if membership is None:
        raise MemberNotFound
    return membership


async def count_seats(session: AsyncSession, organization_id: UUID) -> int:
    statement = select(func.count()).where(Membership.organization_id == organization_id)
    return await session.scalar(statement) or 0


async def list_owners(session: AsyncSession, organization_id: UUID) -> list[Membership]:
    statement = select(Membership).where(
        Membership.organization_id == organization_id, Membership.role == OrganizationRole.OWNER
    )
    return list(await session.scalars(statement))


async def solely_owned(session: AsyncSession, user_id: UUID) -> list[str]:
    """Slugs of the organizations that would be left without an owner."""
    another = aliased(Membership)
    other = (
        select(another.user_id)
        .where(
            another.organization_id == Organization.id,
            another.role == OrganizationRole.OWNER,
            another.user_id != user_id,
        )
        .exists()
    )
    statement = (
        select(Organization.slug)
        .join(Membership, Membership.organization_id == Organization.id)
        .where(Membership.user_id == user_id, Membership.role == OrganizationRole.OWNER, ~other)
        .order_by(Organization.slug)
    )
    return list(await session.scalars(statement))


async def list_invitations(
    session: AsyncSession, organization_id: UUID, page: PageRequest, *, search: str | None
) -> tuple[list[Invitation], str | None, int | None]:
    """Those that can still be accepted, newest first. `search` is a part of the address."""
    statement = select(Invitation).where(
        Invitation.organization_id == organization_id, *_open_invitation()
    )
    if search:
        statement = statement.where(containing(search, Invitation.email))
    keys = (Invitation.created_at, Invitation.id)
    sorts: Sorts = {
        "created_at": Invitation.created_at,
        "expires_at": Invitation.expires_at,
        "email": Invitation.email,
    }
    return await paginate(session, statement, page, keys=keys, sorts=sorts)


async def find_invitation(
    session: AsyncSession, token_hash: bytes, *, fresh: bool = False
) -> Invitation | None:
    """One that can be accepted; `fresh` looks again at what another request may have done."""
    statement = select(Invitation).where(Invitation.token_hash == token_hash, *_open_invitation())
    found: Invitation | None = await session.scalar(
        statement.execution_options(populate_existing=fresh)
    )
    return found


async def find_open_invitation(
    session: AsyncSession, organization_id: UUID, invitation_id: UUID
) -> Invitation | None:
    found: Invitation | None = await session.scalar(
        select(Invitation).where(
            Invitation.id == invitation_id,
            Invitation.organization_id == organization_id,
            *_open_invitation(),
        )
    )
    return found


def _open_invitation() -> tuple[Any, ...]:
    return (
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.expires_at > func.now(),
    )


async def _users(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, User]:
    rows = await session.scalars(select(User).where(User.id.in_(ids)))
    return {user.id: user for user in rows}


def _rank(role: OrganizationRole) -> int:
    return role.rank
