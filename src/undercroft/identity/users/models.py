"""`auth.users`: one row per account. Customers' tables reference it."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, TextClause, text
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


class UserType(StrEnum):
    """What kind of account, for statistics; it gives no rights."""

    ADMIN = "admin"
    CUSTOMER = "customer"
    BUSINESS = "business"


def _start_index(name: str, expression: TextClause | None = None) -> Index:
    """For searches by the start of a text, whatever the database's collation."""
    column = name if expression is None else expression
    label = name if expression is None else str(expression)
    return Index(f"ix_users_{name}_start", column, postgresql_ops={label: "text_pattern_ops"})


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
        CheckConstraint("gender IN ('male', 'female', 'other')", name="gender"),
        CheckConstraint("theme IN ('light', 'dark', 'dynamic')", name="theme"),
        CheckConstraint(
            "profile_accessibility IN ('public', 'private')", name="profile_accessibility"
        ),
        CheckConstraint("user_type IN ('admin', 'customer', 'business')", name="user_type"),
        Index("ix_users_created_at_id", "created_at", "id"),
        *(_start_index(name) for name in ("email", "username", "phone")),
        *(_start_index(name, text(f"lower({name})")) for name in ("first_name", "last_name")),
        Index("ix_users_invited_by", "invited_by", postgresql_where=text("invited_by IS NOT NULL")),
        Index(
            "ix_users_to_erase",
            "deleted_at",
            postgresql_where=text("deleted_at IS NOT NULL AND erased_at IS NULL"),
        ),
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
    middle_name: Mapped[str | None] = mapped_column(String(100))
    display_name: Mapped[str | None] = mapped_column(String(100))
    country: Mapped[str | None] = mapped_column(String(2))
    gender: Mapped[str | None] = mapped_column(String(16))
    birth_date: Mapped[date | None]
    bio: Mapped[str | None] = mapped_column(String(2000))
    picture_url: Mapped[str | None] = mapped_column(String(2048))
    timezone: Mapped[str] = mapped_column(String(64), server_default="UTC")
    theme: Mapped[str] = mapped_column(String(16), server_default="light")
    profile_accessibility: Mapped[str] = mapped_column(String(16), server_default="public")
    user_type: Mapped[str] = mapped_column(String(16), server_default="customer")
    auth_type: Mapped[str | None] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(8), server_default="en")
    app_metadata: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    user_metadata: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    last_sign_in_at: Mapped[datetime | None]
    invited_by: Mapped[UUID | None] = mapped_column(
        ForeignKey("auth.users.id", ondelete="SET NULL")
    )
    deleted_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
