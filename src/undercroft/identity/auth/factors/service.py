"""The verbs on second factors: add, show, remove."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import publish
from undercroft.identity.auth import lockout, sessions
from undercroft.identity.auth.devices import Device
from undercroft.identity.auth.errors import AccountNotActive
from undercroft.identity.auth.events import (
    FactorAdded,
    FactorRemoved,
    FactorsReset,
    SignInFailed,
)
from undercroft.identity.auth.factors import passkeys, recovery_codes, totp
from undercroft.identity.auth.factors.errors import (
    FactorNotFound,
    PasskeyRefused,
    SecondFactorInvalid,
    TooManyFactors,
)
from undercroft.identity.auth.factors.models import Factor, FactorType
from undercroft.identity.auth.gate import FULL, announce_user
from undercroft.identity.auth.notices import tell_owner
from undercroft.identity.auth.sessions import SignIn
from undercroft.identity.auth.starting import start_session
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries
from undercroft.identity.users.errors import AboveYou, UserNotFound
from undercroft.identity.users.models import UserStatus
from undercroft.notifications import Kind

MOST_FACTORS = 10


@dataclass(frozen=True, slots=True)
class Whose:
    """The account and session that a factor is shown for."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True)
class Added:
    factor: Factor
    recovery_codes: list[str] | None
    signed_in: SignIn


def whose(actor: Actor) -> Whose:
    """Of a session that is open or half open."""
    user_id = actor.half.user_id if actor.half else actor.user_id
    session_id = actor.half.session_id if actor.half else actor.session_id
    assert user_id
    assert session_id
    return Whose(user_id, session_id)


async def list_factors(session: AsyncSession, user_id: UUID) -> Sequence[Factor]:
    """Those that count, oldest first."""
    statement = (
        select(Factor)
        .where(Factor.user_id == user_id, Factor.confirmed_at.is_not(None))
        .order_by(Factor.created_at, Factor.id)
    )
    return (await session.scalars(statement)).all()


async def begin_totp(
    session: AsyncSession, identity: Identity, user_id: UUID, name: str
) -> tuple[UUID, str, str]:
    """Return (factor id, secret, URI). It counts once `confirm_totp` has seen a code of it."""
    await _check_room(session, user_id)
    unconfirmed = delete(Factor).where(
        Factor.user_id == user_id, Factor.type == FactorType.TOTP, Factor.confirmed_at.is_(None)
    )
    await session.execute(unconfirmed)
    user = await queries.get_user(session, user_id)
    secret, factor_id = totp.new_secret(), new_id()
    factor = Factor(
        id=factor_id,
        user_id=user_id,
        type=FactorType.TOTP.value,
        name=name,
        sealed_secret=totp.seal_secret(identity.keyring, factor_id, secret),
    )
    session.add(factor)
    await session.flush()
    account = user.email or user.phone or user.username or str(user.id)
    uri = totp.provisioning_uri(secret, account=account, issuer=identity.post.app_name)
    return factor_id, secret, uri


async def confirm_totp(
    session: AsyncSession,
    identity: Identity,
    actor: Actor,
    factor_id: UUID,
    code: str,
    *,
    now: datetime,
) -> Added:
    """Raises `FactorNotFound`, `SecondFactorInvalid`."""
    me = whose(actor)
    statement = (
        select(Factor)
        .where(Factor.id == factor_id, Factor.user_id == me.user_id)
        .where(Factor.type == FactorType.TOTP, Factor.confirmed_at.is_(None))
        .with_for_update()
    )
    factor: Factor | None = await session.scalar(statement)
    if factor is None:
        raise FactorNotFound
    if not await totp.accept(session, identity.keyring, factor, code, now=now):
        raise SecondFactorInvalid
    factor.confirmed_at = now
    return await _add(session, identity, me, factor, method="totp", now=now)


async def begin_passkey(
    session: AsyncSession, identity: Identity, user_id: UUID, *, now: datetime
) -> tuple[UUID, dict[str, Any]]:
    await _check_room(session, user_id)
    user = await queries.get_user(session, user_id)
    known = await list_factors(session, user_id)
    return await passkeys.begin_registration(session, identity, user, list(known), now=now)


async def add_passkey(
    session: AsyncSession,
    identity: Identity,
    actor: Actor,
    challenge_id: UUID,
    credential: dict[str, Any],
    *,
    name: str,
    now: datetime,
) -> Added:
    """Raises `PasskeyRefused`, also for a passkey that is registered already."""
    me = whose(actor)
    factor = await passkeys.finish_registration(
        identity, me.user_id, challenge_id, credential, now=now
    )
    factor.name = name
    columns = {column.key: getattr(factor, column.key) for column in Factor.__table__.columns}
    values = {key: value for key, value in columns.items() if value is not None}
    statement = insert(Factor).values(values).on_conflict_do_nothing().returning(Factor.id)
    if await session.scalar(statement) is None:
        raise PasskeyRefused
    return await _add(session, identity, me, factor, method="webauthn", now=now)


async def show_code(
    session: AsyncSession, identity: Identity, actor: Actor, code: str, *, now: datetime
) -> SignIn:
    """Finish a half sign-in, or prove again who is there.

    Raises `SecondFactorInvalid`, and `SignInLocked` after too many wrong ones for the account.
    """
    me = whose(actor)
    key = lockout.lock_key(f"second factor of {me.user_id}", None)
    async with identity.database.unit_of_work() as own:
        # One at a time for an account, so that a crowd of guesses cannot outrun the count.
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 1))")
        await own.execute(lock, {"key": key.hex()})
        await lockout.check_not_locked(own, key, identity.settings, now)
        method = await _match(own, identity, me.user_id, code, now)
        if method:
            await lockout.forget_failures(own, key)
        else:
            await lockout.count_failure(own, key, identity.settings, now, me.user_id)
            publish(own, SignInFailed(me.user_id, "second_factor"))
    if method is None:
        raise SecondFactorInvalid
    return await sessions.show_again(session, identity, me.session_id, method=method, now=now)


async def begin_showing_passkey(
    session: AsyncSession, identity: Identity, actor: Actor, *, now: datetime
) -> tuple[UUID, dict[str, Any]]:
    me = whose(actor)
    known = await list_factors(session, me.user_id)
    return await passkeys.begin_authentication(
        session, identity, "second_factor", me.user_id, list(known), now=now
    )


async def show_passkey(
    session: AsyncSession,
    identity: Identity,
    actor: Actor,
    challenge_id: UUID,
    credential: dict[str, Any],
    *,
    now: datetime,
) -> SignIn:
    me = whose(actor)
    await passkeys.finish_authentication(
        identity, "second_factor", me.user_id, challenge_id, credential, now=now
    )
    return await sessions.show_again(session, identity, me.session_id, method="webauthn", now=now)


async def sign_in_with_passkey(
    session: AsyncSession,
    identity: Identity,
    challenge_id: UUID,
    credential: dict[str, Any],
    device: Device,
    *,
    now: datetime,
) -> SignIn:
    """A passkey that verified its person is two factors at once."""
    user_id = await passkeys.finish_authentication(
        identity, "sign_in", None, challenge_id, credential, now=now
    )
    try:
        user = await queries.get_user(session, user_id)
    except UserNotFound as error:
        raise PasskeyRefused from error
    if not UserStatus(user.status).may_sign_in:
        raise AccountNotActive(user.status)
    return await start_session(
        session, identity, user, device, method="webauthn", now=now, aal=FULL
    )


async def remove_factor(
    session: AsyncSession, identity: Identity, user_id: UUID, factor_id: UUID
) -> None:
    """With the last one its recovery codes go too. Raises `FactorNotFound`."""
    statement = (
        delete(Factor).where(Factor.id == factor_id, Factor.user_id == user_id).returning(Factor.id)
    )
    if await session.scalar(statement) is None:
        raise FactorNotFound
    if not await list_factors(session, user_id):
        await recovery_codes.forget_codes(session, user_id)
    await announce_user(session, user_id)
    user = await queries.get_user(session, user_id)
    await tell_owner(session, identity, user, Kind.SECOND_FACTOR_REMOVED)
    publish(session, FactorRemoved(factor_id, user_id))


async def replace_recovery_codes(
    session: AsyncSession, identity: Identity, user_id: UUID
) -> list[str]:
    """Make new codes, which can be shown only now; the old ones are gone."""
    codes = await recovery_codes.replace_codes(session, identity.keyring, user_id)
    user = await queries.get_user(session, user_id)
    await tell_owner(session, identity, user, Kind.RECOVERY_CODES_REPLACED)
    return codes


async def remove_all_factors(
    session: AsyncSession, identity: Identity, user_id: UUID, *, actor: Actor
) -> None:
    """For an operator who has made sure whose account it is; every session of it ends.

    Raises `UserNotFound`, and `AboveYou` for a superuser's account unless the operator is one.
    """
    user = await queries.get_user(session, user_id, lock=True)
    if not actor.is_superuser and await queries.is_superuser(session, user_id):
        raise AboveYou
    await session.execute(delete(Factor).where(Factor.user_id == user_id))
    await recovery_codes.forget_codes(session, user_id)
    await sessions.end_all_sessions(session, user_id, reason="factors_reset")
    await tell_owner(session, identity, user, Kind.SECOND_FACTOR_REMOVED)
    publish(session, FactorsReset(user_id, by=actor.user_id))


async def _match(
    session: AsyncSession, identity: Identity, user_id: UUID, code: str, now: datetime
) -> str | None:
    """Use a code up and return the method it is of."""
    if not code.isdigit():
        used = await recovery_codes.use_code(session, identity.keyring, user_id, code, now=now)
        return "recovery_code" if used else None
    for factor in await list_factors(session, user_id):
        if factor.type == FactorType.TOTP and await totp.accept(
            session, identity.keyring, factor, code, now=now
        ):
            return "totp"
    return None


async def _add(
    session: AsyncSession,
    identity: Identity,
    me: Whose,
    factor: Factor,
    *,
    method: str,
    now: datetime,
) -> Added:
    """Whatever other sessions the account has must show the factor from now on."""
    await session.flush()
    codes = None
    if len(await list_factors(session, me.user_id)) == 1:
        codes = await recovery_codes.replace_codes(session, identity.keyring, me.user_id)
    await announce_user(session, me.user_id)
    user = await queries.get_user(session, me.user_id)
    values = {"factor": factor.name}
    await tell_owner(session, identity, user, Kind.SECOND_FACTOR_ADDED, values)
    publish(session, FactorAdded(factor.id, me.user_id, method))
    signed_in = await sessions.show_again(session, identity, me.session_id, method=method, now=now)
    return Added(factor, codes, signed_in)


async def _check_room(session: AsyncSession, user_id: UUID) -> None:
    if len(await list_factors(session, user_id)) >= MOST_FACTORS:
        raise TooManyFactors(most=MOST_FACTORS)
