"""The log, the chain of seals over it, and what retention took away.

None of these rows is ever changed: triggers refuse it (docs/decisions/0024-a-sealed-log.md).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    SmallInteger,
    String,
    Table,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id


class Level(StrEnum):
    """`audit` is what the platform writes of changes."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    AUDIT = "audit"


class ActorType(StrEnum):
    USER = "user"
    API_KEY = "api_key"
    SERVICE = "service"
    ANONYMOUS = "anonymous"
    SYSTEM = "system"


class Entry(Base):
    """`created_at` is the time inside `id`: whoever knows an id knows the partition."""

    __tablename__ = "activity"
    __table_args__ = (
        CheckConstraint("level IN ('debug', 'info', 'warn', 'error', 'audit')", name="level"),
        Index("ix_activity_user_id", "user_id", "created_at"),
        Index("ix_activity_target_id", "target_id", "created_at"),
        {"schema": "operations", "postgresql_partition_by": "RANGE (created_at)"},
    )

    created_at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(String(20))
    action: Mapped[str] = mapped_column(String(100))
    module: Mapped[str] = mapped_column(String(50))
    message: Mapped[str] = mapped_column(String(1000))
    actor_type: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[UUID | None]
    api_key_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    target_type: Mapped[str | None] = mapped_column(String(50))
    target_id: Mapped[str | None] = mapped_column(String(255))
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSONB)
    error_details: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(500))
    device: Mapped[str | None] = mapped_column(String(100))
    browser: Mapped[str | None] = mapped_column(String(100))
    os: Mapped[str | None] = mapped_column(String(100))
    platform: Mapped[str | None] = mapped_column(String(50))
    endpoint: Mapped[str | None] = mapped_column(String(255))
    method: Mapped[str | None] = mapped_column(String(10))
    status_code: Mapped[int | None] = mapped_column(SmallInteger)
    request_id: Mapped[str | None] = mapped_column(String(100))
    duration_ms: Mapped[int | None]


# Entries that no seal covers yet. Written with the entry, emptied by the sealer; a queue and not a
# column, so that sealing changes no entry, and not an order of ids, which commit out of order.
UNSEALED = Table(
    "activity_unsealed",
    Base.metadata,
    Column("entry_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    schema="operations",
)


class Seal(Base):
    """One link of the chain over some entries. `entry_hashes` are 32 bytes each, as `entry_ids`."""

    __tablename__ = "activity_seals"
    __table_args__ = {"schema": "operations"}  # noqa: RUF012 - SQLAlchemy's API

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    sealed_at: Mapped[datetime]
    newest_at: Mapped[datetime]
    entry_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    entry_hashes: Mapped[bytes]
    previous: Mapped[bytes]
    hash: Mapped[bytes]
    signature: Mapped[bytes]


class Purge(Base):
    """What retention took, signed, with the last seal before: there the chain now begins."""

    __tablename__ = "activity_purges"
    __table_args__ = {"schema": "operations"}  # noqa: RUF012

    id: Mapped[Id]
    purged_at: Mapped[datetime]
    purged_before: Mapped[datetime]
    anchor_number: Mapped[int] = mapped_column(BigInteger)
    anchor_hash: Mapped[bytes]
    signature: Mapped[bytes]
