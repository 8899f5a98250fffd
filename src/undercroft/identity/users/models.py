"""`auth.users`: one row per account. Customers' tables reference it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id, Timestamps


class UserStatus(StrEnum):
    ACTIVE = "active"
    UNVERIFIED = "unverified"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    DELETED = "deleted"

    @property
    def may_sign_in(self) -> bool:
        return self in {UserStatus.ACTIVE, UserStatus.UNVERIFIED}


class User(Timestamps, Base):
    """E-mail and username are stored in lower case, the phone number in E.164."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(
            "status IN ('active', 'unverified', 'suspended', 'deactivated', 'deleted')",
            name="status",
        ),
        CheckConstraint(
            "status = 'deleted' OR num_nonnulls(email, phone, username) > 0", name="identifier"
        ),
        Index("ix_users_created_at_id", "created_at", "id"),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    email: Mapped[str | None] = mapped_column(String(320), unique=True)
    phone: Mapped[str | None] = mapped_column(String(16), unique=True)
    username: Mapped[str | None] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(255), deferred=True)
    status: Mapped[str] = mapped_column(String(16), server_default=UserStatus.UNVERIFIED)
    email_verified_at: Mapped[datetime | None]
    phone_verified_at: Mapped[datetime | None]
    first_name: Mapped[str | None] = mapped_column(String(100))
    last_name: Mapped[str | None] = mapped_column(String(100))
    language: Mapped[str] = mapped_column(String(8), server_default="en")
    app_metadata: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    user_metadata: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    last_sign_in_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
