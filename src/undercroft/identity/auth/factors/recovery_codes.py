"""Codes on paper for the day the phone is gone: 80 bits each, stored as an HMAC, used once."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.crypto import Keyring
from undercroft.foundation.jobs import publish
from undercroft.identity.auth.events import RecoveryCodesReplaced
from undercroft.identity.auth.factors.models import RecoveryCode

COUNT = 10
KEY = "recovery-code"


async def replace_codes(session: AsyncSession, keyring: Keyring, user_id: UUID) -> list[str]:
    """Make new ones; the old ones are gone. They can be shown only now."""
    codes = [_new_code() for _ in range(COUNT)]
    await forget_codes(session, user_id)
    session.add_all(
        RecoveryCode(code_hash=_hash(keyring, user_id, code), user_id=user_id) for code in codes
    )
    await session.flush()
    publish(session, RecoveryCodesReplaced(user_id))
    return codes


async def forget_codes(session: AsyncSession, user_id: UUID) -> None:
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


async def use_code(
    session: AsyncSession, keyring: Keyring, user_id: UUID, code: str, *, now: datetime
) -> bool:
    statement = (
        update(RecoveryCode)
        .where(RecoveryCode.code_hash == _hash(keyring, user_id, code))
        .where(RecoveryCode.used_at.is_(None))
        .values(used_at=now)
        .returning(RecoveryCode.user_id)
    )
    return await session.scalar(statement) is not None


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return f"{text[:8]}-{text[8:]}"


def _hash(keyring: Keyring, user_id: UUID, code: str) -> bytes:
    key = bytes.fromhex(keyring.derive(KEY))
    plain = code.replace("-", "").lower()
    return hmac.new(key, f"{user_id}\n{plain}".encode(), hashlib.sha256).digest()
