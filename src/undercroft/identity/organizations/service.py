"""The verbs on organizations and their members.

The doors have checked who calls and hold the
organization's lock.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import publish
from undercroft.foundation.problems import MissingPermission
from undercroft.identity.auth.gate import announce_user
from undercroft.identity.organizations import queries
from undercroft.identity.organizations.errors import (
    AlreadyMember,
    LastOwner,
    OwnerNeeded,
    RoleTooLow,
    SlugTaken,
    UniformNumberTaken,
)
from undercroft.identity.organizations.events import (
    MemberJoined,
    MemberLeft,
    MemberRoleChanged,
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationUpdated,
)
from undercroft.identity.organizations.invitations import seat, withdraw_invitations_by
from undercroft.identity.organizations.models import (
    Membership,
    Organization,
    OrganizationRole,
)
from undercroft.identity.users.queries import get_user

MANAGE = "organizations:manage"
# What the platform grants an organization; the organization does not grant it to itself.
LIMITS = ("is_active", "max_allowed_streams", "max_members")
LONGEST_SLUG = 63


async def create_organization(
    session: AsyncSession, values: Mapping[str, Any], *, actor: Actor
) -> Organization:
    """Found an organization; the caller owns it, or the account they name."""
    fields = dict(values)
    _check_limits(fields, actor)
    owner_id = await _owner(session, fields.pop("owner_id", None), actor)
    if not fields.get("slug"):
        fields["slug"] = slug_of(fields["name"])
    organization = Organization(**fields)
    session.add(organization)
    await _flush(session)
    membership = Membership(
        organization_id=organization.id, user_id=owner_id, role=OrganizationRole.OWNER
    )
    session.add(membership)
    await session.flush()
    await session.refresh(organization)
    publish(session, OrganizationCreated(organization.id, organization.slug, by=actor.user_id))
    owner = OrganizationRole.OWNER.value
    publish(session, MemberJoined(organization.id, owner_id, owner, by=actor.user_id))
    return organization


async def update_organization(
    session: AsyncSession, organization: Organization, changes: Mapping[str, Any], *, actor: Actor
) -> None:
    _check_limits(changes, actor)
    for name, value in changes.items():
        setattr(organization, name, value)
    await _flush(session)
    await session.refresh(organization)
    publish(session, OrganizationUpdated(organization.id, tuple(changes), by=actor.user_id))


async def delete_organization(
    session: AsyncSession, organization: Organization, *, actor: Actor
) -> None:
    """Delete it with its memberships, invitations, keys and grants."""
    organization_id, slug = organization.id, organization.slug
    await session.delete(organization)
    await session.flush()
    publish(session, OrganizationDeleted(organization_id, slug, by=actor.user_id))


async def add_member(
    session: AsyncSession,
    organization: Organization,
    user_id: UUID,
    role: OrganizationRole,
    *,
    actor: Actor,
) -> Membership:
    """Without asking them, hence for managers of all organizations only; others invite."""
    if not actor.has(MANAGE):
        raise MissingPermission(MANAGE)
    await get_user(session, user_id)
    if await session.get(Membership, (organization.id, user_id)):
        raise AlreadyMember
    return await seat(session, organization, user_id, role, by=actor.user_id)


async def change_role(
    session: AsyncSession,
    organization: Organization,
    user_id: UUID,
    role: OrganizationRole,
    *,
    by_role: OrganizationRole,
    actor: Actor,
) -> Membership:
    """Admins change admins, members and guests; only owners touch or make owners."""
    membership = await queries.get_membership(session, organization.id, user_id)
    present = OrganizationRole(membership.role)
    if not by_role.reaches(present) or not by_role.reaches(role):
        raise RoleTooLow(OrganizationRole.OWNER.value)
    if present is OrganizationRole.OWNER and role is not OrganizationRole.OWNER:
        await _keep_an_owner(session, organization.id)
    await _set_role(session, membership, role, by=actor.user_id)
    return membership


async def remove_member(
    session: AsyncSession,
    organization: Organization,
    user_id: UUID,
    *,
    by_role: OrganizationRole,
    actor: Actor,
) -> None:
    """Anybody may leave; admins remove all but owners."""
    if user_id != actor.user_id and not by_role.reaches(OrganizationRole.ADMIN):
        raise RoleTooLow(OrganizationRole.ADMIN.value)
    membership = await queries.get_membership(session, organization.id, user_id)
    present = OrganizationRole(membership.role)
    if not by_role.reaches(present):
        raise RoleTooLow(OrganizationRole.OWNER.value)
    if present is OrganizationRole.OWNER:
        await _keep_an_owner(session, organization.id)
    await session.delete(membership)
    await withdraw_invitations_by(session, organization.id, user_id)
    await session.flush()
    await announce_user(session, user_id)
    publish(session, MemberLeft(organization.id, user_id, by=actor.user_id))


async def transfer(
    session: AsyncSession, organization: Organization, user_id: UUID, *, actor: Actor
) -> Membership:
    """Make a member an owner and the caller an admin.

    A manager who is no owner transfers from all present owners at once.
    """
    heir = await queries.get_membership(session, organization.id, user_id)
    owners = await queries.list_owners(session, organization.id)
    mine = [owner for owner in owners if owner.user_id == actor.user_id]
    for owner in mine or owners:
        if owner.user_id != user_id:
            await _set_role(session, owner, OrganizationRole.ADMIN, by=actor.user_id)
    await _set_role(session, heir, OrganizationRole.OWNER, by=actor.user_id)
    return heir


def slug_of(name: str) -> str:
    """`Café & Söhne` as `cafe-sohne`, with digits behind so that it is free."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    tail = new_id().hex[-6:]
    return f"{words[: LONGEST_SLUG - 7].strip('-') or 'organization'}-{tail}"


def _check_limits(fields: Mapping[str, Any], actor: Actor) -> None:
    if any(name in fields for name in (*LIMITS, "owner_id")) and not actor.has(MANAGE):
        raise MissingPermission(MANAGE)


async def _owner(session: AsyncSession, owner_id: UUID | None, actor: Actor) -> UUID:
    owner_id = owner_id or actor.user_id
    if owner_id is None:
        raise OwnerNeeded
    return (await get_user(session, owner_id)).id


async def _keep_an_owner(session: AsyncSession, organization_id: UUID) -> None:
    if len(await queries.list_owners(session, organization_id)) < 2:
        raise LastOwner


async def _set_role(
    session: AsyncSession, membership: Membership, role: OrganizationRole, *, by: UUID | None
) -> None:
    if membership.role == role:
        return
    membership.role = role.value
    if not role.reaches(OrganizationRole.ADMIN):
        await withdraw_invitations_by(session, membership.organization_id, membership.user_id)
    await session.flush()
    await announce_user(session, membership.user_id)
    changed = MemberRoleChanged(membership.organization_id, membership.user_id, role.value, by=by)
    publish(session, changed)


async def _flush(session: AsyncSession) -> None:
    """Write; a slug or number that is taken, also by a racing request, is told apart."""
    try:
        await session.flush()
    except IntegrityError as error:
        if "uq_organizations_uniform_number" in str(error.orig):
            raise UniformNumberTaken from error
        raise SlugTaken from error
