"""The verbs of sign-in. They know neither HTTP nor forms, so another protocol can use them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.identity.auth import lockout, sessions
from undercroft.identity.auth.devices import Device
from undercroft.identity.auth.errors import (
    AccountNotActive,
    InvalidCredentials,
    InvalidToken,
    RegistrationClosed,
    WrongPassword,
)
from undercroft.identity.auth.sessions import SignIn
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries, service
from undercroft.identity.users.errors import NotYourself
from undercroft.identity.users.identifiers import Identifier, IdentifierInvalid, parse_identifier
from undercroft.identity.users.models import User, UserStatus


async def register(session: AsyncSession, identity: Identity, text: str, password: str) -> None:
    """Make an account, or do nothing in the same time when the identifier is taken."""
    if not identity.settings.open_registration:
        raise RegistrationClosed
    identifier = parse_identifier(text)
    identity.passwords.check_policy(password, identifier.words)
    hashed = await identity.passwords.hash(password)
    await service.insert_user(session, identifier, password_hash=hashed)


async def sign_in(
    session: AsyncSession,
    identity: Identity,
    text: str,
    password: str,
    device: Device,
    *,
    now: datetime,
) -> SignIn:
    """Check a password and start a session.

    Raises `InvalidCredentials` alike for an unknown identifier and a wrong password, `SignInLocked`
    after too many of them, `AccountNotActive` only to who knows the password.
    """
    key = lockout.lock_key(text, device.address)
    user = await _find_user(identity, text, key, now)
    # No transaction is open here: hashing waits its turn, and a connection must not wait with it.
    right, better = await identity.passwords.verify(password, user.password_hash if user else None)
    if user is None or not right:
        async with identity.database.unit_of_work() as own:
            await lockout.count_failure(own, key, identity.settings, now)
        raise InvalidCredentials
    if not UserStatus(user.status).may_sign_in:
        raise AccountNotActive(user.status)
    await lockout.forget_failures(session, key)
    if better:
        await session.execute(update(User).where(User.id == user.id).values(password_hash=better))
    return await sessions.start_session(session, identity, user, device, method="password", now=now)


async def change_password(
    session: AsyncSession, identity: Identity, actor: Actor, current: str, new: str
) -> None:
    """Needs the current password; ends every other session."""
    assert actor.user_id
    async with identity.database.unit_of_work() as own:
        user = await queries.get_user(own, actor.user_id)
        hashed = await queries.get_password_hash(own, actor.user_id)
    right, _ = await identity.passwords.verify(current, hashed)
    if not right:
        raise WrongPassword
    words = [word for identifier in _identifiers(user) for word in identifier.words]
    identity.passwords.check_policy(new, words, pointer="#/new_password")
    new_hash = await identity.passwords.hash(new)
    await service.set_password(session, actor.user_id, new_hash, but=actor.session_id)


async def reset_password(
    session: AsyncSession, identity: Identity, actor: Actor, user_id: UUID, new: str
) -> None:
    """Set somebody else's password; ends every session of theirs."""
    if user_id == actor.user_id:
        raise NotYourself
    async with identity.database.unit_of_work() as own:
        user = await queries.get_user(own, user_id)
        await service.check_not_above(own, user, actor)
    words = [word for identifier in _identifiers(user) for word in identifier.words]
    identity.passwords.check_policy(new, words, pointer="#/new_password")
    new_hash = await identity.passwords.hash(new)
    await service.set_password(session, user_id, new_hash)


async def log_out(
    session: AsyncSession, identity: Identity, token: str | None, refresh: str | None
) -> list[UUID]:
    """End the session of the token shown, expired or not; return its id if it was live.

    Raises `InvalidToken` when neither credential names a session.
    """
    found = None
    if token:
        found = await identity.tokens.session_of(token)
    if found is None and refresh:
        found = await sessions.find_session_of_refresh(session, refresh)
    if found is None:
        raise InvalidToken
    session_id, user_id = found
    return await sessions.end_session(session, session_id, user_id=user_id, reason="logout")


async def _find_user(identity: Identity, text: str, key: bytes, now: datetime) -> User | None:
    async with identity.database.unit_of_work() as session:
        await lockout.check_not_locked(session, key, now)
        try:
            identifier = parse_identifier(text)
        except IdentifierInvalid:
            return None
        return await queries.find_user_by_identifier(session, identifier)


def _identifiers(user: User) -> list[Identifier]:
    found = (
        Identifier("email", user.email or ""),
        Identifier("phone", user.phone or ""),
        Identifier("username", user.username or ""),
    )
    return [identifier for identifier in found if identifier.value]
