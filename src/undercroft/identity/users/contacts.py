"""Addresses of an account that somebody proved to be theirs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import publish
from undercroft.identity.auth.events import ContactVerified
from undercroft.identity.auth.gate import announce_user
from undercroft.identity.auth.sessions import end_all_sessions
from undercroft.identity.users.identifiers import Identifier
from undercroft.identity.users.models import User, UserStatus
from undercroft.notifications import Channel


async def mark_verified(
    session: AsyncSession, user_id: UUID, channel: Channel, address: str, *, now: datetime
) -> bool:
    """Mark the contact that `channel` reaches; False when it is no longer exactly `address`."""
    by_mail = channel is Channel.EMAIL
    column = User.email if by_mail else User.phone
    verified_at = User.email_verified_at if by_mail else User.phone_verified_at
    status = case((User.status == UserStatus.UNVERIFIED, UserStatus.ACTIVE), else_=User.status)
    statement = (
        update(User)
        .where(User.id == user_id, column == address)
        .values({verified_at: func.coalesce(verified_at, now), User.status: status})
        .returning(User)
    )
    # The account may be loaded already, and is asked about itself later.
    options = {"synchronize_session": False, "populate_existing": True}
    if await session.scalar(statement, execution_options=options) is None:
        return False
    publish(session, ContactVerified(user_id, channel.value))
    return True


async def give_up_contact(session: AsyncSession, user: User, contact: Identifier) -> None:
    """Take an address that a (locked) account never proved to be its own from it.

    An account that was named by this address alone is deleted: nobody can sign in to it any more.
    """
    setattr(user, contact.kind, None)
    if not any((user.email, user.phone, user.username)):
        user.status, user.deleted_at = UserStatus.DELETED, utc_now()
    await session.flush()
    await end_all_sessions(session, user.id, reason="address_proven")


async def evict_squatter(session: AsyncSession, user: User) -> None:
    """Take an account that nobody had proved to be theirs from whoever made it.

    Somebody may have registered the address of another before that person came: password, second
    factors, linked identities and sessions from before the proof must not survive it.
    """
    if user.status != UserStatus.UNVERIFIED:
        return
    for statement in (
        "UPDATE auth.users SET password_hash = NULL WHERE id = :user_id",
        "DELETE FROM auth.factors WHERE user_id = :user_id",
        "DELETE FROM auth.recovery_codes WHERE user_id = :user_id",
        "DELETE FROM auth.identities WHERE user_id = :user_id",
    ):
        await session.execute(text(statement), {"user_id": user.id})
    await end_all_sessions(session, user.id, reason="address_proven")
    await announce_user(session, user.id)
