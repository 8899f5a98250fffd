"""Codes of authenticator apps (RFC 6238), over pyotp."""

from datetime import datetime
from uuid import UUID

import pyotp
from pyotp.exceptions import OTPVerificationError
from sqlalchemy import or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.crypto import Keyring
from undercroft.identity.auth.factors.models import Factor

SEAL = "totp"
# One step back and forth: clocks differ and people type slowly.
WINDOW = 1


def new_secret() -> str:
    return pyotp.random_base32()


def provisioning_uri(secret: str, *, account: str, issuer: str) -> str:
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def seal_secret(keyring: Keyring, factor_id: UUID, secret: str) -> bytes:
    return keyring.seal(f"{SEAL} {factor_id}", secret.encode())


async def accept(
    session: AsyncSession, keyring: Keyring, factor: Factor, code: str, *, now: datetime
) -> bool:
    """Use up a code: no code at or before the newest accepted time step counts again."""
    assert factor.sealed_secret
    secret = keyring.open(f"{SEAL} {factor.id}", factor.sealed_secret).decode()
    try:
        step = pyotp.TOTP(secret).verify_and_get_timecode(code, for_time=now, valid_window=WINDOW)
    except OTPVerificationError:
        return False
    statement = (
        update(Factor)
        .where(Factor.id == factor.id)
        .where(or_(Factor.last_step.is_(None), Factor.last_step < step))
        .values(last_step=step, last_used_at=now)
        .returning(Factor.id)
    )
    return await session.scalar(statement) is not None
