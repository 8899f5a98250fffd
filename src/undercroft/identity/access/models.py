"""Groups of users and the permissions each group gives."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, func
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id, Timestamps

SUPER_ADMIN = "super_admin"


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
    permission: Mapped[str] = mapped_column(String(100), primary_key=True)


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
    """A role key (`anon`, `service_role`): a long-lived JWT whose `jti` is this row's id.

    The token is sealed, not hashed, because `undercroft keys show` shows it again.
    """

    __tablename__ = "api_keys"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(63))
    sealed_token: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]
