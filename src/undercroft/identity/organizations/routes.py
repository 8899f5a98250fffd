"""`/organizations` and `/invitations`: tenants, who belongs to them, and how one gets in."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query

from undercroft.foundation.access import Authenticated, Permission, SignedIn, UsersOnly
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import CurrentActor, Parts, Router, Session, searched_by, sorted_by
from undercroft.foundation.problems import MissingPermission
from undercroft.foundation.settings import Environment
from undercroft.identity.organizations import errors, invitations, queries, schemas, service
from undercroft.identity.organizations.access import (
    MANAGE,
    OrganizationToChange,
    OrganizationToLeave,
    OrganizationToOwn,
    OrganizationToRead,
    OrganizationToRun,
    OrganizationToSee,
    Standing,
)
from undercroft.identity.organizations.models import Membership, OrganizationRole
from undercroft.identity.users.errors import UserNotFound
from undercroft.identity.users.identifiers import IdentifierInvalid, parse_email
from undercroft.identity.users.models import User

PERMISSIONS = (
    Permission(MANAGE, "See and run every organization, and set what the platform grants it."),
)

router = Router("/organizations", tag="identity")
invitation_router = Router("/invitations", tag="identity")

SEEN = (errors.OrganizationNotFound, errors.RoleTooLow)
CHANGED = (*SEEN, errors.OrganizationInactive)


@dataclass(frozen=True, slots=True)
class Which:
    """Which organizations a list shows."""

    search: str | None
    is_active: bool | None
    all: bool


async def _which(
    search: Annotated[str | None, searched_by("Part of name or slug.")] = None,
    is_active: bool | None = None,
    every: Annotated[
        bool, Query(alias="all", description="Not only yours. Needs organizations:manage.")
    ] = False,
) -> Which:
    return Which(search, is_active, every)


@router.get("", access=Authenticated(), problems=(MissingPermission,))
async def list_organizations(
    session: Session,
    page: Annotated[PageRequest, sorted_by("created_at", "name", "slug")],
    which: Annotated[Which, Depends(_which)],
    actor: CurrentActor,
) -> Page[schemas.OrganizationRead]:
    """Your organizations, newest first."""
    everyone = which.all or actor.user_id is None
    if everyone and not actor.has(MANAGE):
        raise MissingPermission(MANAGE)
    found, cursor, total = await queries.list_organizations(
        session,
        page,
        of=None if everyone else actor.user_id,
        search=which.search,
        is_active=which.is_active,
    )
    known = await queries.count_members(session, [one.id for one in found], actor.user_id)
    items = []
    for organization in found:
        count, role = known.get(organization.id, (0, None))
        read = schemas.OrganizationRead.model_validate(organization)
        items.append(read.model_copy(update={"member_count": count, "role": role}))
    return Page[schemas.OrganizationRead](items=items, next_cursor=cursor, total=total)


@router.post(
    "",
    access=Authenticated(),
    status_code=201,
    problems=(
        errors.SlugTaken,
        errors.UniformNumberTaken,
        errors.OwnerNeeded,
        MissingPermission,
        UserNotFound,
    ),
)
async def create_organization(
    new: schemas.OrganizationCreate, session: Session, actor: CurrentActor
) -> schemas.OrganizationRead:
    """Found an organization. You own it."""
    values = new.model_dump(exclude_unset=True)
    organization = await service.create_organization(session, values, actor=actor)
    owner = OrganizationRole.OWNER if new.owner_id in {None, actor.user_id} else None
    read = schemas.OrganizationRead.model_validate(organization)
    return read.model_copy(update={"role": owner, "member_count": 1})


@router.get("/{organization_id}", access=Authenticated(), problems=(errors.OrganizationNotFound,))
async def get_organization(
    standing: OrganizationToSee, session: Session
) -> schemas.OrganizationRead:
    """One organization. Guests do not see its settings."""
    return await _read(session, standing)


@router.patch(
    "/{organization_id}",
    access=Authenticated(),
    problems=(*CHANGED, errors.SlugTaken, errors.UniformNumberTaken),
)
async def update_organization(
    change: schemas.OrganizationUpdate,
    standing: OrganizationToChange,
    session: Session,
    actor: CurrentActor,
) -> schemas.OrganizationRead:
    """Change an organization, as its owner or admin."""
    changes = change.model_dump(exclude_unset=True)
    await service.update_organization(session, standing.organization, changes, actor=actor)
    return await _read(session, standing)


@router.delete("/{organization_id}", access=Authenticated(), status_code=204, problems=CHANGED)
async def delete_organization(
    standing: OrganizationToOwn, session: Session, actor: CurrentActor
) -> None:
    """Delete an organization with all that belongs to it, as its owner."""
    await service.delete_organization(session, standing.organization, actor=actor)


@router.get("/{organization_id}/members", access=Authenticated(), problems=SEEN)
async def list_members(
    standing: OrganizationToRead,
    session: Session,
    page: Annotated[PageRequest, sorted_by("joined_at")],
    role: OrganizationRole | None = None,
    search: Annotated[str | None, searched_by("Start of a name or username.")] = None,
) -> Page[schemas.MemberRead]:
    """Who belongs to the organization, in the order of joining. Guests see nobody."""
    found, cursor, total = await queries.list_members(
        session, standing.organization.id, page, role=role, search=search
    )
    items = [_member(membership, user, standing) for membership, user in found]
    return Page[schemas.MemberRead](items=items, next_cursor=cursor, total=total)


@router.post(
    "/{organization_id}/members",
    access=Authenticated(),
    status_code=201,
    problems=(*CHANGED, UserNotFound, errors.AlreadyMember, errors.SeatsTaken),
)
async def add_member(
    new: schemas.MemberAdd,
    standing: OrganizationToChange,
    session: Session,
    actor: CurrentActor,
) -> schemas.MembershipRead:
    """Add an account at once. Needs `organizations:manage`: owners and admins invite instead."""
    membership = await service.add_member(
        session, standing.organization, new.user_id, new.role, actor=actor
    )
    return schemas.MembershipRead.model_validate(membership)


@router.patch(
    "/{organization_id}/members/{user_id}",
    access=Authenticated(),
    problems=(*CHANGED, errors.MemberNotFound, errors.LastOwner),
)
async def update_member(
    user_id: UUID,
    change: schemas.MemberUpdate,
    standing: OrganizationToChange,
    session: Session,
    actor: CurrentActor,
) -> schemas.MembershipRead:
    """Change a member's role. Only owners change or make owners; one owner must remain."""
    membership = await service.change_role(
        session,
        standing.organization,
        user_id,
        change.role,
        by_role=standing.role,
        actor=actor,
    )
    return schemas.MembershipRead.model_validate(membership)


@router.delete(
    "/{organization_id}/members/{user_id}",
    access=Authenticated(),
    status_code=204,
    problems=(*CHANGED, errors.MemberNotFound, errors.LastOwner),
)
async def remove_member(
    user_id: UUID, standing: OrganizationToLeave, session: Session, actor: CurrentActor
) -> None:
    """Remove a member, or leave. Admins do not remove owners; one owner must remain."""
    await service.remove_member(
        session, standing.organization, user_id, by_role=standing.role, actor=actor
    )


@router.post(
    "/{organization_id}/transfer",
    access=Authenticated(),
    problems=(*CHANGED, errors.MemberNotFound),
)
async def transfer_organization(
    body: schemas.Transfer, standing: OrganizationToOwn, session: Session, actor: CurrentActor
) -> schemas.MembershipRead:
    """Hand the organization to a member; you stay as an admin."""
    membership = await service.transfer(session, standing.organization, body.user_id, actor=actor)
    return schemas.MembershipRead.model_validate(membership)


@router.get("/{organization_id}/invitations", access=Authenticated(), problems=SEEN)
async def list_invitations(
    standing: OrganizationToRun,
    session: Session,
    page: Annotated[PageRequest, sorted_by("created_at", "expires_at", "email")],
    search: Annotated[str | None, searched_by("Part of the address.")] = None,
) -> Page[schemas.InvitationRead]:
    """Invitations that can still be accepted, newest first."""
    found, cursor, total = await queries.list_invitations(
        session, standing.organization.id, page, search=search
    )
    items = [schemas.InvitationRead.model_validate(invitation) for invitation in found]
    return Page[schemas.InvitationRead](items=items, next_cursor=cursor, total=total)


@router.post(
    "/{organization_id}/invitations",
    access=Authenticated(),
    rate="invitation",
    status_code=201,
    problems=(*CHANGED, errors.SeatsTaken, IdentifierInvalid),
)
async def invite_member(
    new: schemas.InvitationCreate,
    standing: OrganizationToChange,
    session: Session,
    actor: CurrentActor,
    parts: Parts,
) -> schemas.InvitationSent:
    """Invite an address by mail, for a week. Inviting it again replaces the link."""
    invitation = await invitations.invite_member(
        session,
        parts.keyring,
        standing.organization,
        parse_email(new.email),
        new.role,
        inviter_role=standing.role,
        actor=actor,
    )
    sent = schemas.InvitationSent.model_validate(invitation)
    # Whoever sees the token can pass for the owner of the address, so only the mail has it.
    if actor.is_superuser and parts.settings.environment is Environment.DEVELOPMENT:
        token = invitations.invitation_token(parts.keyring, invitation.id)
        return sent.model_copy(update={"token": token})
    return sent


@router.delete(
    "/{organization_id}/invitations/{invitation_id}",
    access=Authenticated(),
    status_code=204,
    problems=(*CHANGED, errors.InvitationNotFound),
)
async def withdraw_invitation(
    invitation_id: UUID, standing: OrganizationToChange, session: Session
) -> None:
    """Withdraw an invitation; its link stops working."""
    await invitations.withdraw_invitation(session, standing.organization, invitation_id)


@invitation_router.post(
    "/{token}/accept",
    access=SignedIn(),
    rate="invitation",
    problems=(
        errors.InvitationNotFound,
        errors.InvitationForAnother,
        errors.SeatsTaken,
        UsersOnly,
    ),
)
async def accept_invitation(
    token: Annotated[str, Path(min_length=1, max_length=128)],
    session: Session,
    actor: CurrentActor,
) -> schemas.MembershipRead:
    """Accept an invitation with the account that has the address it was sent to."""
    membership = await invitations.accept_invitation(session, token, actor=actor)
    return schemas.MembershipRead.model_validate(membership)


async def _read(session: Session, standing: Standing) -> schemas.OrganizationRead:
    organization = standing.organization
    known = await queries.count_members(session, [organization.id], None)
    count, _ = known.get(organization.id, (0, None))
    update: dict[str, object] = {"role": standing.member_role, "member_count": count}
    if not standing.role.reaches(OrganizationRole.MEMBER):
        update["settings"] = {}
    read = schemas.OrganizationRead.model_validate(organization)
    return read.model_copy(update=update)


def _member(membership: Membership, user: User, standing: Standing) -> schemas.MemberRead:
    sees_address = standing.role.reaches(OrganizationRole.ADMIN)
    return schemas.MemberRead(
        user_id=user.id,
        role=OrganizationRole(membership.role),
        joined_at=membership.joined_at,
        email=user.email if sees_address else None,
        username=user.username,
        first_name=user.first_name,
        last_name=user.last_name,
        display_name=user.display_name,
        picture_url=user.picture_url,
    )
