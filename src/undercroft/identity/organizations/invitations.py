"""Seats offered by mail.

The link's secret is computed from the invitation's id, so that the job
which sends the mail can make it again and no queue, event or log ever carries it.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor, UsersOnly
from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import Keyring, sha256
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import publish
from undercroft.identity.auth.gate import announce_user
from undercroft.identity.organizations import queries
from undercroft.identity.organizations.errors import (
    InvitationForAnother,
    InvitationNotFound,
    RoleTooLow,
    SeatsTaken,
)
from undercroft.identity.organizations.events import MemberInvited, MemberJoined
from undercroft.identity.organizations.models import (
    Invitation,
    Membership,
    Organization,
    OrganizationRole,
)
from undercroft.identity.users.models import User
from undercroft.identity.users.queries import get_user

LIFETIME = timedelta(days=7)
PURPOSE = "invitation"


@dataclass(frozen=True, slots=True)
class InvitationMail:
    """What the mail says. `token` goes into its link and nowhere else."""

    email: str
    organization: str
    role: str
    inviter: str | None
    language: str
    token: str
    expires_at: datetime


def invitation_token(keyring: Keyring, invitation_id: UUID) -> str:
    key = bytes.fromhex(keyring.derive(PURPOSE))
    digest = hmac.new(key, invitation_id.bytes, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def describe_invitation(
    session: AsyncSession, keyring: Keyring, invitation_id: UUID
) -> InvitationMail | None:
    """What to mail; None when there is nothing to accept any more."""
    invitation = await session.get(Invitation, invitation_id)
    if invitation is None or invitation.accepted_at or invitation.revoked_at:
        return None
    organization = await queries.get_organization(session, invitation.organization_id)
    inviter = await session.get(User, invitation.invited_by) if invitation.invited_by else None
    return InvitationMail(
        email=invitation.email,
        organization=organization.name,
        role=invitation.role,
        inviter=(inviter.display_name or inviter.first_name or inviter.email) if inviter else None,
        language=inviter.language if inviter else "en",
        token=invitation_token(keyring, invitation_id),
        expires_at=invitation.expires_at,
    )


async def invite_member(
    session: AsyncSession,
    keyring: Keyring,
    organization: Organization,
    email: str,
    role: OrganizationRole,
    *,
    inviter_role: OrganizationRole,
    actor: Actor,
) -> Invitation:
    """Offer a seat; a new invitation of the same address replaces the one before."""
    if not inviter_role.reaches(role):
        raise RoleTooLow(role.value)
    await check_seat(session, organization)
    await _withdraw(session, organization.id, Invitation.email == email)
    invitation_id = new_id()
    invitation = Invitation(
        id=invitation_id,
        organization_id=organization.id,
        email=email,
        role=role.value,
        token_hash=sha256(invitation_token(keyring, invitation_id)),
        invited_by=actor.user_id,
        expires_at=utc_now() + LIFETIME,
    )
    session.add(invitation)
    await session.flush()
    await session.refresh(invitation)
    publish(session, MemberInvited(invitation_id, organization.id, by=actor.user_id))
    return invitation


async def withdraw_invitation(
    session: AsyncSession, organization: Organization, invitation_id: UUID
) -> None:
    """Raise `InvitationNotFound` when it was accepted, withdrawn or never was."""
    if await queries.find_open_invitation(session, organization.id, invitation_id) is None:
        raise InvitationNotFound
    await _withdraw(session, organization.id, Invitation.id == invitation_id)


async def withdraw_invitations_by(
    session: AsyncSession, organization_id: UUID, user_id: UUID
) -> None:
    """What somebody offered ends with their say in the organization."""
    await _withdraw(session, organization_id, Invitation.invited_by == user_id)


async def accept_invitation(session: AsyncSession, token: str, *, actor: Actor) -> Membership:
    """Take the seat. The account must have the address that the invitation was sent to."""
    if actor.user_id is None:
        raise UsersOnly
    found = await queries.find_invitation(session, sha256(token))
    if found is None:
        raise InvitationNotFound
    user = await get_user(session, actor.user_id)
    if user.email != found.email:
        raise InvitationForAnother
    organization = await queries.get_organization(session, found.organization_id, lock=True)
    invitation = await queries.find_invitation(session, sha256(token), fresh=True)
    if invitation is None:
        raise InvitationNotFound
    invitation.accepted_at = utc_now()
    if user.invited_by is None and user.created_at > invitation.created_at:
        user.invited_by = invitation.invited_by  # the account came of the invitation
    present = await session.get(Membership, (organization.id, user.id))
    if present:
        await session.flush()
        return present
    role = OrganizationRole(invitation.role)
    return await seat(session, organization, user.id, role, by=invitation.invited_by)


async def seat(
    session: AsyncSession,
    organization: Organization,
    user_id: UUID,
    role: OrganizationRole,
    *,
    by: UUID | None,
) -> Membership:
    """Make somebody a member of the (locked) organization while seats are left."""
    await check_seat(session, organization)
    membership = Membership(organization_id=organization.id, user_id=user_id, role=role.value)
    session.add(membership)
    await session.flush()
    await session.refresh(membership)
    await announce_user(session, user_id)
    publish(session, MemberJoined(organization.id, user_id, role.value, by=by))
    return membership


async def check_seat(session: AsyncSession, organization: Organization) -> None:
    limit = organization.max_members
    if limit is not None and await queries.count_seats(session, organization.id) >= limit:
        raise SeatsTaken(limit)


async def _withdraw(session: AsyncSession, organization_id: UUID, which: object) -> None:
    statement = update(Invitation).where(
        Invitation.organization_id == organization_id,
        which,  # type: ignore[arg-type]
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
    )
    await session.execute(statement.values(revoked_at=utc_now()))
