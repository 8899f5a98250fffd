"""A new e-mail address or phone number for an account: first a code to it, then the change.

Who asks has lately proved who they are; who brings the code reads the new address. Neither step
tells whether the address belongs to somebody else, until the code has shown that it is one's own.
"""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.jobs import publish
from undercroft.identity.auth.codes.errors import CodeInvalid
from undercroft.identity.auth.codes.models import Purpose
from undercroft.identity.auth.codes.service import (
    Ask,
    prove_code,
    request_secret,
    revoke_secrets,
    use_up,
)
from undercroft.identity.auth.notices import tell
from undercroft.identity.auth.sessions import end_all_sessions
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries
from undercroft.identity.users.contacts import give_up_contact, mark_verified
from undercroft.identity.users.errors import IdentifierTaken
from undercroft.identity.users.events import UserUpdated
from undercroft.identity.users.identifiers import Identifier
from undercroft.identity.users.models import User, UserStatus
from undercroft.notifications import Channel, Kind


async def request_contact_change(
    session: AsyncSession,
    identity: Identity,
    actor: Actor,
    contact: Identifier,
    channel: Channel,
    accept_language: str | None,
    *,
    now: datetime,
) -> None:
    """Send a code to the new contact, whoever has it. Raises `TooManyCodes`, `ChannelMismatch`."""
    ask = Ask(Purpose.CHANGE_CONTACT, contact, channel, accept_language, user_id=actor.user_id)
    await request_secret(session, identity, ask, now=now)


async def change_contact(
    session: AsyncSession,
    identity: Identity,
    actor: Actor,
    contact: Identifier,
    channel: Channel,
    code: str,
    *,
    now: datetime,
) -> User:
    """Make the proved contact the account's; its other sessions end and codes sent before die.

    An account that took the address and never confirmed it loses it. Raises `CodeInvalid`, and
    `IdentifierTaken` only to who holds a right code.
    """
    assert actor.user_id
    ask = Ask(Purpose.CHANGE_CONTACT, contact, channel, user_id=actor.user_id)
    proof = await prove_code(identity, ask, code, now=now)
    if proof.user_id != actor.user_id or proof.recipient != contact.value:
        raise CodeInvalid
    await use_up(session, proof, now=now)
    await _make_room(session, actor, contact)
    user = await queries.get_user(session, actor.user_id)
    old, was_verified = _present(user, contact)
    if old != contact.value:
        await _replace(session, user, contact)
    await mark_verified(session, user.id, channel, contact.value, now=now)
    await end_all_sessions(session, user.id, reason="contact_changed", but=actor.session_id)
    await revoke_secrets(session, user.id, now=now)
    if old and was_verified and old != contact.value:
        by = Channel.EMAIL if contact.kind == "email" else Channel.SMS
        await tell(session, identity, Kind.CONTACT_CHANGED, (by, old), user.language)
    publish(session, UserUpdated(user.id, (contact.kind,), by=user.id))
    await session.refresh(user)
    return user


def _present(user: User, contact: Identifier) -> tuple[str | None, bool]:
    if contact.kind == "email":
        return user.email, user.email_verified_at is not None
    return user.phone, user.phone_verified_at is not None


async def _make_room(session: AsyncSession, actor: Actor, contact: Identifier) -> None:
    """Lock both accounts in one order, so that two who want each other's address do not hang."""
    column = getattr(User, contact.kind)
    both = select(User).where((User.id == actor.user_id) | (column == contact.value))
    for found in await session.scalars(both.order_by(User.id).with_for_update()):
        if found.id == actor.user_id:
            continue
        if found.status != UserStatus.UNVERIFIED:
            raise IdentifierTaken
        await give_up_contact(session, found, contact)


async def _replace(session: AsyncSession, user: User, contact: Identifier) -> None:
    verified = "email_verified_at" if contact.kind == "email" else "phone_verified_at"
    statement = (
        update(User).where(User.id == user.id).values({contact.kind: contact.value, verified: None})
    )
    try:
        await session.execute(statement, execution_options={"synchronize_session": "fetch"})
    except IntegrityError as error:  # a racing request took it
        raise IdentifierTaken from error
