"""The WebAuthn ceremonies, over the library `webauthn`. A challenge is answered once."""

from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from undercroft.foundation.ids import new_id
from undercroft.identity.auth.factors.errors import PasskeyRefused
from undercroft.identity.auth.factors.models import Factor, FactorType, PasskeyChallenge
from undercroft.identity.parts import Identity
from undercroft.identity.users.models import User

Ceremony = Literal["register", "sign_in", "second_factor"]
LIFETIME = timedelta(minutes=5)
# What a body that is not a credential at all raises while it is taken apart.
MALFORMED = (WebAuthnException, KeyError, TypeError, ValueError)


def relying_party(identity: Identity) -> tuple[str, list[str]]:
    """The domain that passkeys belong to and the origins they come from; never the Host header."""
    base = urlsplit(identity.link_base)
    settings = identity.settings
    domain = settings.passkey_domain or base.hostname or "localhost"
    return domain, list(settings.passkey_origins) or [f"{base.scheme}://{base.netloc}"]


async def begin_registration(
    session: AsyncSession, identity: Identity, user: User, known: list[Factor], *, now: datetime
) -> tuple[UUID, dict[str, Any]]:
    domain, _ = relying_party(identity)
    options = generate_registration_options(
        rp_id=domain,
        rp_name=identity.post.app_name,
        user_id=user.id.bytes,
        user_name=user.email or user.phone or user.username or str(user.id),
        exclude_credentials=_descriptors(known),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
    )
    challenge_id = await _keep(session, "register", user.id, options.challenge, now)
    return challenge_id, orjson.loads(options_to_json(options))


async def finish_registration(
    identity: Identity,
    user_id: UUID,
    challenge_id: UUID,
    credential: dict[str, Any],
    *,
    now: datetime,
) -> Factor:
    """Return the verified passkey, not stored yet. Raises `PasskeyRefused`."""
    challenge = await _take(identity, "register", user_id, challenge_id, now)
    domain, origins = relying_party(identity)
    try:
        verified = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=domain,
            expected_origin=origins,
            require_user_verification=True,
        )
    except MALFORMED as error:
        raise PasskeyRefused from error
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
    domain, _ = relying_party(identity)
    options = generate_authentication_options(
        rp_id=domain,
        allow_credentials=_descriptors(known),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    challenge_id = await _keep(session, ceremony, user_id, options.challenge, now)
    return challenge_id, orjson.loads(options_to_json(options))


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
    challenge = await _take(identity, ceremony, user_id, challenge_id, now)
    async with identity.database.unit_of_work() as own:
        factor = await _find_factor(own, credential, user_id)
        if factor is None:
            raise PasskeyRefused
        count = _verified_count(identity, factor, challenge, credential)
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


def _verified_count(
    identity: Identity, factor: Factor, challenge: bytes, credential: dict[str, Any]
) -> int:
    domain, origins = relying_party(identity)
    assert factor.public_key is not None
    assert factor.sign_count is not None
    try:
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=domain,
            expected_origin=origins,
            credential_public_key=factor.public_key,
            credential_current_sign_count=factor.sign_count,
            require_user_verification=True,
        )
        handle = credential["response"].get("userHandle")
        if handle and base64url_to_bytes(handle) != factor.user_id.bytes:
            raise PasskeyRefused
    except MALFORMED as error:
        raise PasskeyRefused from error
    return verified.new_sign_count


async def _find_factor(
    session: AsyncSession, credential: dict[str, Any], user_id: UUID | None
) -> Factor | None:
    try:
        credential_id = base64url_to_bytes(credential["id"])
    except MALFORMED as error:
        raise PasskeyRefused from error
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


def _descriptors(factors: list[Factor]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=factor.credential_id)
        for factor in factors
        if factor.credential_id
    ]
