"""Files of accounts, as their owners see them; the bytes are objects of two system buckets."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db.base import Base, Id
from undercroft.identity.users.models import User


class MediaState(StrEnum):
    PENDING = "pending"
    STORED = "stored"
    FAILED = "failed"


class Media(Base):
    """`object_name` is where the bytes are; `source_url` is forgotten when the fetch is over."""

    __tablename__ = "media"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'stored', 'failed')", name="state"),
        CheckConstraint(
            "state <> 'stored' OR num_nulls(object_name, size_bytes, content_type) = 0",
            name="complete",
        ),
        Index("ix_media_owner_id_created_at_id", "owner_id", "created_at", "id"),
        {"schema": "storage"},
    )

    id: Mapped[Id]
    owner_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(String(16))
    name: Mapped[str | None] = mapped_column(String(255))
    object_name: Mapped[str | None] = mapped_column(String(255))
    content_type: Mapped[str | None] = mapped_column(String(255))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    is_public: Mapped[bool]
    source_url: Mapped[str | None] = mapped_column(String(2048))
    error: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
