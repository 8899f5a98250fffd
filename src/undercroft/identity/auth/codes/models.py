"""`auth.one_time_secrets`: what was asked for, what was sent, whether it was used."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id


class Purpose(StrEnum):
    """What a secret is good for; it is good for nothing else."""

    SIGN_IN = "sign_in"
    SIGN_UP = "sign_up"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a purpose
    VERIFY_CONTACT = "verify_contact"
    CHANGE_CONTACT = "change_contact"


class Form(StrEnum):
    """Six digits to type, or a long token in a link."""

    CODE = "code"
    LINK = "link"


class OneTimeSecret(Base):
    """One request. It exists for unknown identifiers too, so that both cost the same.

    The worker that sends it fills `recipient`, `user_id` and `secret_hash`; where nothing is sent
    they stay empty and no code fits.
    """

    __tablename__ = "one_time_secrets"
    __table_args__ = (
        CheckConstraint(
            "purpose IN ('sign_in', 'sign_up', 'password_reset', 'verify_contact',"
            " 'change_contact')",
            name="purpose",
        ),
        CheckConstraint("channel IN ('email', 'sms', 'whatsapp')", name="channel"),
        CheckConstraint("form IN ('code', 'link')", name="form"),
        Index("ix_one_time_secrets_identifier_purpose", "identifier", "purpose", "created_at"),
        Index("ix_one_time_secrets_secret_hash", "secret_hash"),
        Index("ix_one_time_secrets_expires_at", "expires_at"),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    purpose: Mapped[str] = mapped_column(String(32))
    identifier: Mapped[str] = mapped_column(String(320))
    channel: Mapped[str] = mapped_column(String(16))
    form: Mapped[str] = mapped_column(String(8))
    language: Mapped[str | None] = mapped_column(String(64))
    user_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), index=True
    )
    recipient: Mapped[str | None] = mapped_column(String(320))
    secret_hash: Mapped[bytes | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    consumed_at: Mapped[datetime | None]
