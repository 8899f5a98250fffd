"""Permissions, the groups that give them to users, and API keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id, Timestamps
from undercroft.identity.organizations.models import Organization

SUPER_ADMIN = "super_admin"
EVERYBODY = "user"


class PermissionRecord(Timestamps, Base):
    """A permission that can be given. `is_system`: the platform's own, in every database."""

    __tablename__ = "permissions"
    __table_args__ = (
        Index("ix_permissions_category_codename", "category", "codename"),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    codename: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(String(1000))
    category: Mapped[str] = mapped_column(String(50))
    is_system: Mapped[bool] = mapped_column(server_default="false")


class Group(Timestamps, Base):
    __tablename__ = "groups"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012 - SQLAlchemy's API

    id: Mapped[Id]
    codename: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    description: Mapped[str | None] = mapped_column(String(1000))
    is_system: Mapped[bool] = mapped_column(server_default="false")
    is_active: Mapped[bool] = mapped_column(server_default="true")


class GroupPermission(Base):
    __tablename__ = "group_permissions"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012

    group_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.groups.id", ondelete="CASCADE"), primary_key=True
    )
    permission: Mapped[str] = mapped_column(
        String(100),
        ForeignKey("auth.permissions.codename", ondelete="CASCADE", onupdate="CASCADE"),
        primary_key=True,
        index=True,
    )


class UserGroup(Base):
    __tablename__ = "user_groups"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), primary_key=True
    )
    group_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.groups.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    assigned_at: Mapped[datetime] = mapped_column(server_default=func.now())
    assigned_by: Mapped[UUID | None] = mapped_column(
        ForeignKey("auth.users.id", ondelete="SET NULL"), index=True
    )


class ApiKey(Base):
    """A program's key, of one of two kinds.

    A role key (`anon`, `service_role`) is a long-lived JWT whose `jti` is this row's id. It is
    sealed, not hashed, because `undercroft keys show` shows it again. A key made by a user is
    opaque, hashed, shown once, and holds single permissions.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("num_nonnulls(sealed_token, token_hash) = 1", name="one_token"),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(63))
    sealed_token: Mapped[bytes | None]
    token_hash: Mapped[bytes | None] = mapped_column(unique=True)
    prefix: Mapped[str | None] = mapped_column(String(16))
    created_by: Mapped[UUID | None] = mapped_column(
        ForeignKey("auth.users.id", ondelete="SET NULL"), index=True
    )
    organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(Organization.id, ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ApiKeyPermission(Base):
    __tablename__ = "api_key_permissions"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012

    api_key_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.api_keys.id", ondelete="CASCADE"), primary_key=True
    )
    permission: Mapped[str] = mapped_column(
        String(100),
        ForeignKey("auth.permissions.codename", ondelete="CASCADE", onupdate="CASCADE"),
        primary_key=True,
        index=True,
    )
