"""What a person can show beside their password."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id


class FactorType(StrEnum):
    TOTP = "totp"
    PASSKEY = "passkey"


class Factor(Base):
    """Counts from `confirmed_at` on. `last_step` is the newest TOTP time step that was accepted."""

    __tablename__ = "factors"
    __table_args__ = (
        CheckConstraint("type IN ('totp', 'passkey')", name="type"),
        CheckConstraint(
            "CASE type WHEN 'totp' THEN sealed_secret IS NOT NULL"
            " ELSE num_nulls(credential_id, public_key, sign_count) = 0 END",
            name="complete",
        ),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), index=True
    )
    type: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(100))
    sealed_secret: Mapped[bytes | None]
    last_step: Mapped[int | None] = mapped_column(BigInteger)
    credential_id: Mapped[bytes | None] = mapped_column(unique=True)
    public_key: Mapped[bytes | None]
    sign_count: Mapped[int | None] = mapped_column(BigInteger)
    transports: Mapped[list[Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    confirmed_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """Works once, in place of a lost factor; stored as an HMAC."""

    __tablename__ = "recovery_codes"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012 - SQLAlchemy's API

    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]


class PasskeyChallenge(Base):
    """A WebAuthn challenge, for one ceremony; deleted when it is answered."""

    __tablename__ = "passkey_challenges"
    __table_args__ = (
        CheckConstraint("ceremony IN ('register', 'sign_in', 'second_factor')", name="ceremony"),
        Index("ix_passkey_challenges_expires_at", "expires_at"),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    ceremony: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), index=True
    )
    challenge: Mapped[bytes]
    expires_at: Mapped[datetime]
