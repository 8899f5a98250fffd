"""The verbs of sign-in. They know neither HTTP nor forms, so another protocol can use them."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.jobs import publish
from undercroft.foundation.languages import negotiate
from undercroft.identity.auth import lockout, sessions
from undercroft.identity.auth.codes.errors import TooManyCodes
from undercroft.identity.auth.codes.models import Purpose
from undercroft.identity.auth.codes.service import Ask, request_secret, revoke_secrets
from undercroft.identity.auth.devices import Device
from undercroft.identity.auth.errors import (
    AccountNotActive,
    InvalidCredentials,
    InvalidToken,
    RegistrationClosed,
    WrongPassword,
)
from undercroft.identity.auth.events import SignInFailed
from undercroft.identity.auth.notices import tell_owner
from undercroft.identity.auth.schemas import Registration, TokenInfo
from undercroft.identity.auth.sessions import SignIn
from undercroft.identity.auth.starting import WayIn, start_by_password
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries, service
from undercroft.identity.users.errors import NotYourself
from undercroft.identity.users.events import RegistrationRepeated
from undercroft.identity.users.identifiers import Identifier, IdentifierInvalid, parse_identifier
from undercroft.identity.users.models import User, UserStatus
from undercroft.notifications import Channel, Kind

FIND = {
    kind: sql(f"""
        SELECT u.id, u.password_hash, u.status, u.last_sign_in_at,
               (SELECT locked_until FROM auth.sign_in_failures WHERE key = :key) AS locked_until
          FROM (SELECT) AS asked
          LEFT JOIN auth.users u ON u.{kind} = :value AND u.status <> 'deleted'
    """)  # noqa: S608 - one of three columns
    for kind in ("email", "phone", "username")
}


async def register(
    session: AsyncSession,
    identity: Identity,
    new: Registration,
    accept_language: str | None,
    *,
    now: datetime,
) -> None:
    """Make an account, or do nothing in the same time when the identifier is taken."""
    if not identity.settings.open_registration:
        raise RegistrationClosed
    identifier = parse_identifier(new.identifier)
    identity.passwords.check_policy(new.password, identifier.words)
    hashed = await identity.passwords.hash(new.password)
    language = negotiate(accept_language)
    made = await service.insert_user(session, identifier, password_hash=hashed, language=language)
    if made is None:
        publish(session, RegistrationRepeated(identifier.kind))
    if identifier.kind == "username":
        return
    channel = Channel.EMAIL if identifier.kind == "email" else Channel.SMS
    ask = Ask(Purpose.VERIFY_CONTACT, identifier, channel, accept_language)
    with suppress(TooManyCodes):  # the account is made all the same
        await request_secret(session, identity, ask, now=now)


async def sign_in(
    session: AsyncSession | None,
    identity: Identity,
    text: str,
    password: str,
    device: Device,
    *,
    now: datetime,
) -> SignIn:
    """Check a password and start a session, in a transaction of its own if there is none yet.

    Raises `InvalidCredentials` alike for an unknown identifier and a wrong password, `SignInLocked`
    after too many of them, `AccountNotActive` only to who knows the password.
    """
    identifier = _read_identifier(text)
    # However it is spelt: spaces, letter case and brackets must not win fresh tries.
    name = f"{identifier.kind} {identifier.value}" if identifier else text.strip().casefold()
    key = lockout.lock_key(name, device.address)
    async with identity.turns.of(key, password):
        started = None
        while started is None:
            way = await _match(identity, identifier, key, password, now=now)
            started = await start_by_password(session, identity, way, device, now=now)
            # None if the account changed while its hash was made: perhaps that password is right
            # no more, or other processes counted too many wrong ones.
    return started


async def _match(
    identity: Identity, identifier: Identifier | None, key: bytes, password: str, *, now: datetime
) -> WayIn:
    found = await _find_account(identity, identifier, key)
    lockout.check_pause(found.locked_until, identity.settings, now)
    # No transaction is open here: hashing waits its turn, and a connection must not wait with it.
    right, better = await identity.passwords.verify(password, found.password_hash, found.id)
    if not right:
        async with identity.database.unit_of_work() as own:
            await lockout.count_failure(own, key, identity.settings, now, found.id)
            publish(own, SignInFailed(found.id, "password"))
        raise InvalidCredentials
    if not UserStatus(found.status).may_sign_in:
        raise AccountNotActive(found.status)
    first = found.last_sign_in_at is None
    return WayIn(
        found.id,
        "password",
        first,
        password_hash=found.password_hash,
        better_hash=better,
        failures=key,
    )


async def change_password(
    session: AsyncSession,
    identity: Identity,
    actor: Actor,
    current: str,
    new: str,
    *,
    now: datetime,
) -> None:
    """Needs the current password; ends every other session.

    With a second factor a stolen session and password are not enough: raises `StepUpRequired`
    unless it was shown lately.
    """
    assert actor.user_id
    if actor.has_second_factor:
        actor.require_fresh()
    user = await check_own_password(identity, actor, current, now=now)
    identity.passwords.check_policy(new, account_words(user), pointer="#/new_password")
    new_hash = await identity.passwords.hash(new)
    await service.set_password(session, actor.user_id, new_hash, but=actor.session_id)
    await revoke_secrets(session, actor.user_id, now=now)
    await tell_owner(session, identity, user, Kind.PASSWORD_CHANGED)


async def check_own_password(
    identity: Identity, actor: Actor, password: str, *, now: datetime
) -> User:
    """Raise `WrongPassword`, and `SignInLocked` after too many: a stolen session must not guess."""
    assert actor.user_id
    key = lockout.lock_key(f"password of {actor.user_id}", None)
    async with identity.turns.of(key, password):
        return await _check_own_password(identity, actor.user_id, key, password, now)


async def _check_own_password(
    identity: Identity, user_id: UUID, key: bytes, password: str, now: datetime
) -> User:
    async with identity.database.unit_of_work() as own:
        await lockout.check_not_locked(own, key, identity.settings, now)
        user = await queries.get_user(own, user_id)
        hashed = await queries.get_password_hash(own, user_id)
    right, _ = await identity.passwords.verify(password, hashed, user_id)
    async with identity.database.unit_of_work() as own:
        if right:
            await lockout.check_not_locked(own, key, identity.settings, now)
            await lockout.forget_failures(own, key)
        else:
            await lockout.count_failure(own, key, identity.settings, now, user_id)
            publish(own, SignInFailed(user_id, "password_check"))
    if not right:
        raise WrongPassword
    return user


def describe_token(actor: Actor, *, now: datetime) -> TokenInfo:
    claims = orjson.loads(actor.claims)
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    return TokenInfo(
        token_type=claims["token_type"],
        session_id=claims["session_id"],
        user_id=claims["sub"],
        aal=claims["aal"],
        amr=claims["amr"],
        issued_at=datetime.fromtimestamp(claims["iat"], UTC),
        expires_at=expires_at,
        expires_in=max(0, int((expires_at - now).total_seconds())),
        origin=claims.get("origin"),
    )


async def reset_password(
    session: AsyncSession, identity: Identity, actor: Actor, user_id: UUID, new: str
) -> None:
    """Set somebody else's password; ends every session of theirs."""
    if user_id == actor.user_id:
        raise NotYourself
    async with identity.database.unit_of_work() as own:
        user = await queries.get_user(own, user_id)
        await service.check_not_above(own, user, actor)
    identity.passwords.check_policy(new, account_words(user), pointer="#/new_password")
    new_hash = await identity.passwords.hash(new)
    await service.set_password(session, user_id, new_hash)
    await tell_owner(session, identity, user, Kind.PASSWORD_CHANGED)


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


def _read_identifier(text: str) -> Identifier | None:
    try:
        return parse_identifier(text)
    except IdentifierInvalid:
        return None


async def _find_account(identity: Identity, identifier: Identifier | None, key: bytes) -> Any:
    """One row in any case: its members of the account are None where nobody has the identifier."""
    kind, value = (identifier.kind, identifier.value) if identifier else ("username", None)
    return await identity.database.run_alone(FIND[kind], {"key": key, "value": value})


def account_words(user: User) -> list[str]:
    """The parts of an account's names, which its password may not contain."""
    found = (
        Identifier("email", user.email or ""),
        Identifier("phone", user.phone or ""),
        Identifier("username", user.username or ""),
    )
    return [word for identifier in found for word in identifier.words]
