"""Passkeys: what is asked of a browser, and what its answer is worth. A challenge is answered once.

What is said in between (WebAuthn) is in `ceremonies`, which is imported by those who use passkeys:
the library takes 5 MB.
"""

from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.ids import new_id
from undercroft.identity.auth.factors.errors import PasskeyRefused
from undercroft.identity.auth.factors.models import Factor, FactorType, PasskeyChallenge
from undercroft.identity.parts import Identity
from undercroft.identity.users.models import User

Ceremony = Literal["register", "sign_in", "second_factor"]
LIFETIME = timedelta(minutes=5)


def relying_party(identity: Identity) -> tuple[str, list[str]]:
    """The domain that passkeys belong to and the origins they come from; never the Host header."""
    base = urlsplit(identity.link_base)
    settings = identity.settings
    domain = settings.passkey_domain or base.hostname or "localhost"
    return domain, list(settings.passkey_origins) or [f"{base.scheme}://{base.netloc}"]


async def begin_registration(
    session: AsyncSession, identity: Identity, user: User, known: list[Factor], *, now: datetime
) -> tuple[UUID, dict[str, Any]]:
    from undercroft.identity.auth.factors import ceremonies  # noqa: PLC0415 - see above

    domain, _ = relying_party(identity)
    name = user.email or user.phone or user.username or str(user.id)
    asked = ceremonies.ask_for_new(
        domain, identity.post.app_name, user.id, name, _credential_ids(known)
    )
    challenge_id = await _keep(session, "register", user.id, asked.challenge, now)
    return challenge_id, asked.options


async def finish_registration(
    identity: Identity,
    user_id: UUID,
    challenge_id: UUID,
    credential: dict[str, Any],
    *,
    now: datetime,
) -> Factor:
    """Return the verified passkey, not stored yet. Raises `PasskeyRefused`."""
    from undercroft.identity.auth.factors import ceremonies  # noqa: PLC0415 - see above

    challenge = await _take(identity, "register", user_id, challenge_id, now)
    verified = ceremonies.verify_new(credential, challenge, *relying_party(identity))
    return Factor(
        id=new_id(),
        user_id=user_id,
        type=FactorType.PASSKEY.value,
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        created_at=now,
        confirmed_at=now,
    )


async def begin_authentication(
    session: AsyncSession,
    identity: Identity,
    ceremony: Ceremony,
    user_id: UUID | None,
    known: list[Factor],
    *,
    now: datetime,
) -> tuple[UUID, dict[str, Any]]:
    """Without `known` the browser offers whatever passkeys it has: nobody is named."""
    from undercroft.identity.auth.factors import ceremonies  # noqa: PLC0415 - see above

    domain, _ = relying_party(identity)
    asked = ceremonies.ask_for_known(domain, _credential_ids(known))
    challenge_id = await _keep(session, ceremony, user_id, asked.challenge, now)
    return challenge_id, asked.options


async def finish_authentication(
    identity: Identity,
    ceremony: Ceremony,
    user_id: UUID | None,
    challenge_id: UUID,
    credential: dict[str, Any],
    *,
    now: datetime,
) -> UUID:
    """Return whose passkey it is. Raises `PasskeyRefused`.

    The challenge is spent and the counter moved in transactions of their own, before anything is
    granted: a copied authenticator loses against the count of the other.
    """
    from undercroft.identity.auth.factors import ceremonies  # noqa: PLC0415 - see above

    challenge = await _take(identity, ceremony, user_id, challenge_id, now)
    credential_id = ceremonies.read_id(credential)
    async with identity.database.unit_of_work() as own:
        factor = await _find_factor(own, credential_id, user_id)
        if factor is None:
            raise PasskeyRefused
        assert factor.public_key is not None
        assert factor.sign_count is not None
        known = ceremonies.Known(factor.user_id, factor.public_key, factor.sign_count)
        count = ceremonies.verify_known(credential, challenge, *relying_party(identity), known)
        statement = (
            update(Factor)
            .where(Factor.id == factor.id)
            .where(or_(Factor.sign_count < count, Factor.sign_count == 0))
            .values(sign_count=count, last_used_at=now)
            .returning(Factor.user_id)
        )
        owner: UUID | None = await own.scalar(statement)
    if owner is None:
        raise PasskeyRefused
    return owner


async def _find_factor(
    session: AsyncSession, credential_id: bytes, user_id: UUID | None
) -> Factor | None:
    statement = select(Factor).where(
        Factor.credential_id == credential_id, Factor.confirmed_at.is_not(None)
    )
    if user_id:
        statement = statement.where(Factor.user_id == user_id)
    factor: Factor | None = await session.scalar(statement)
    return factor


async def _keep(
    session: AsyncSession,
    ceremony: Ceremony,
    user_id: UUID | None,
    challenge: bytes,
    now: datetime,
) -> UUID:
    row = PasskeyChallenge(
        id=new_id(),
        ceremony=ceremony,
        user_id=user_id,
        challenge=challenge,
        expires_at=now + LIFETIME,
    )
    session.add(row)
    await session.flush()
    return row.id


async def _take(
    identity: Identity,
    ceremony: Ceremony,
    user_id: UUID | None,
    challenge_id: UUID,
    now: datetime,
) -> bytes:
    """Spend a challenge, whatever comes of it. Raises `PasskeyRefused`."""
    statement = (
        delete(PasskeyChallenge)
        .where(
            PasskeyChallenge.id == challenge_id,
            PasskeyChallenge.ceremony == ceremony,
            PasskeyChallenge.user_id.is_not_distinct_from(user_id),
            PasskeyChallenge.expires_at > now,
        )
        .returning(PasskeyChallenge.challenge)
    )
    async with identity.database.unit_of_work() as own:
        challenge: bytes | None = await own.scalar(statement)
    if challenge is None:
        raise PasskeyRefused
    return challenge


def _credential_ids(factors: list[Factor]) -> list[bytes]:
    return [factor.credential_id for factor in factors if factor.credential_id]
