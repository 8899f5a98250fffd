"""Passwords without the old one: by a mailed link, by a code, and the first one ever."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.identity.auth.codes.entry import get_proven_user
from undercroft.identity.auth.codes.errors import CodeInvalid, LinkInvalid
from undercroft.identity.auth.codes.models import Form, Purpose
from undercroft.identity.auth.codes.service import (
    Ask,
    Proof,
    find_link,
    prove_code,
    request_secret,
    revoke_secrets,
    use_up,
)
from undercroft.identity.auth.errors import PasswordAlreadySet
from undercroft.identity.auth.notices import tell, tell_owner
from undercroft.identity.auth.service import account_words
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries, service
from undercroft.identity.users.contacts import evict_squatter, mark_verified
from undercroft.identity.users.errors import UserNotFound
from undercroft.identity.users.identifiers import Identifier
from undercroft.notifications import Channel, Kind

NEW_PASSWORD = "#/new_password"  # noqa: S105 - a JSON pointer


async def request_reset(
    session: AsyncSession,
    identity: Identity,
    identifier: Identifier,
    accept_language: str | None,
    *,
    now: datetime,
) -> None:
    """Have a link sent, if there is anybody to send it to."""
    channel = Channel.SMS if identifier.kind == "phone" else Channel.EMAIL
    ask = Ask(Purpose.PASSWORD_RESET, identifier, channel, accept_language, Form.LINK)
    await request_secret(session, identity, ask, now=now)


async def reset_by_link(
    session: AsyncSession, identity: Identity, token: str, new: str, *, now: datetime
) -> None:
    """Set a password with the token of a mailed link. Raises `LinkInvalid`."""
    async with identity.database.unit_of_work() as own:
        proof = await find_link(own, identity, Purpose.PASSWORD_RESET, token, now=now)
    try:
        await _reset(session, identity, proof, new, now=now)
    except (CodeInvalid, UserNotFound) as error:
        raise LinkInvalid from error


async def reset_by_code(
    session: AsyncSession, identity: Identity, ask: Ask, code: str, new: str, *, now: datetime
) -> None:
    """Set a password with a code that was sent for this purpose. Raises `CodeInvalid`."""
    proof = await prove_code(identity, ask, code, now=now)
    await _reset(session, identity, proof, new, now=now)


async def set_first_password(
    session: AsyncSession, identity: Identity, actor: Actor, new: str
) -> None:
    """For an account that has none. Raises `PasswordAlreadySet`."""
    assert actor.user_id
    async with identity.database.unit_of_work() as own:
        user = await queries.get_user(own, actor.user_id)
        if await queries.get_password_hash(own, actor.user_id):
            raise PasswordAlreadySet
    identity.passwords.check_policy(new, account_words(user), pointer=NEW_PASSWORD)
    hashed = await identity.passwords.hash(new)
    if not await service.set_first_password(session, actor.user_id, hashed):
        raise PasswordAlreadySet
    await tell_owner(session, identity, user, Kind.PASSWORD_CHANGED)


async def _reset(
    session: AsyncSession, identity: Identity, proof: Proof, new: str, *, now: datetime
) -> None:
    """Hash first and without a connection; then, of many at once, one spends the proof."""
    async with identity.database.unit_of_work() as own:
        user = await get_proven_user(own, proof)
    identity.passwords.check_policy(new, account_words(user), pointer=NEW_PASSWORD)
    hashed = await identity.passwords.hash(new)
    await use_up(session, proof, now=now)
    user = await get_proven_user(session, proof)
    await evict_squatter(session, user)
    await mark_verified(session, user.id, proof.channel, proof.recipient, now=now)
    await service.set_password(session, user.id, hashed)
    await revoke_secrets(session, user.id, now=now)
    contact = (proof.channel, proof.recipient)
    await tell(session, identity, Kind.PASSWORD_CHANGED, contact, user.language)
