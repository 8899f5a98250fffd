"""Sessions and what hangs on them. A session row is the truth; tokens only point at it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id


class UserSession(Base):
    """Nothing that a refresh changes is indexed, so that its row stays where it is."""

    __tablename__ = "sessions"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012 - SQLAlchemy's API

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(32))
    amr: Mapped[list[Any]] = mapped_column(JSONB)
    aal: Mapped[str] = mapped_column(String(8), server_default="aal1")
    origin: Mapped[str | None] = mapped_column(String(255))
    address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(500))
    device_name: Mapped[str | None] = mapped_column(String(100))
    device_type: Mapped[str | None] = mapped_column(String(32))
    browser: Mapped[str | None] = mapped_column(String(64))
    os: Mapped[str | None] = mapped_column(String(64))
    device_id: Mapped[str | None] = mapped_column(String(255))
    place: Mapped[str | None] = mapped_column(String(100))


class RefreshToken(Base):
    """One link of a session's chain: an opaque token, stored as its SHA-256."""

    __tablename__ = "refresh_tokens"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012 - SQLAlchemy's API

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.sessions.id", ondelete="CASCADE"), index=True
    )
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]


class SignInFailure(Base):
    """Failures in a row of one identifier from one address, both only as a hash.

    `user_id` is whose identifier it is, so that an administrator can find and end the pause.
    """

    __tablename__ = "sign_in_failures"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012

    key: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int]
    last_failed_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    locked_until: Mapped[datetime | None]
    user_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), index=True
    )


class SigningKey(Base):
    """A key pair for tokens; the newest signs, all that are not retired verify."""

    __tablename__ = "signing_keys"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    algorithm: Mapped[str] = mapped_column(String(8))
    sealed_key: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]
