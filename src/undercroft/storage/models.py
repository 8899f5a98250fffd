"""Buckets and objects in the shape that policies written for Supabase expect.

What only we see: the bytes behind them, uploads under way, and what organizations use.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db.base import Base, Timestamps

SCHEMA = "storage"
Name = Text(collation="C")


class Bucket(Timestamps, Base):
    """`links_version` counts up to end every signed URL of the bucket."""

    __tablename__ = "buckets"
    __table_args__ = (
        CheckConstraint("id = name", name="id_is_name"),
        Index(None, "organization_id"),
        {"schema": SCHEMA},
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    owner: Mapped[UUID | None]
    owner_id: Mapped[str | None] = mapped_column(Text)
    public: Mapped[bool] = mapped_column(server_default=text("false"))
    file_size_limit: Mapped[int | None] = mapped_column(BigInteger)
    allowed_mime_types: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    type: Mapped[str] = mapped_column(Text, server_default="STANDARD")
    organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("auth.organizations.id", ondelete="CASCADE")
    )
    links_version: Mapped[int] = mapped_column(server_default="1")


class Blob(Base):
    """Bytes in the backend. Content never changes; several objects may share one.

    `sweep_after` is null while an object holds it. `removing` says that a sweeper has begun: from
    then on nothing may take hold of it. `parts` are [key part, size] of a resumable upload.
    """

    __tablename__ = "blobs"
    __table_args__ = (
        Index(
            "ix_blobs_sweep_after",
            "sweep_after",
            postgresql_where=text("sweep_after IS NOT NULL"),
        ),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    content_type: Mapped[str | None] = mapped_column(Text)
    parts: Mapped[list[Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sweep_after: Mapped[datetime | None]
    removing: Mapped[bool] = mapped_column(server_default=text("false"))


class Object(Base):
    __tablename__ = "objects"
    __table_args__ = (
        UniqueConstraint("bucket_id", "name"),
        Index(None, "blob_id"),
        Index(None, "organization_id"),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    bucket_id: Mapped[str] = mapped_column(
        ForeignKey("storage.buckets.id", ondelete="CASCADE", onupdate="CASCADE")
    )
    name: Mapped[str] = mapped_column(Name)
    owner: Mapped[UUID | None]
    owner_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_accessed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSONB)
    user_metadata: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    path_tokens: Mapped[list[str]] = mapped_column(
        ARRAY(Text), Computed("string_to_array(name, '/')", persisted=True), nullable=True
    )
    blob_id: Mapped[UUID | None] = mapped_column(ForeignKey("storage.blobs.id"))
    version: Mapped[str | None] = mapped_column(Text, Computed("blob_id::text", persisted=True))
    organization_id: Mapped[UUID | None]
    links_version: Mapped[int] = mapped_column(server_default="1")


class Upload(Base):
    """A resumable upload. `lease` is the request that writes to it until `leased_until`.

    `described` is the Upload-Metadata of its client, to be told again.
    """

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "expires_at"), Index(None, "organization_id"), {"schema": SCHEMA})

    id: Mapped[UUID] = mapped_column(primary_key=True)
    bucket_id: Mapped[str] = mapped_column(
        ForeignKey("storage.buckets.id", ondelete="CASCADE", onupdate="CASCADE")
    )
    name: Mapped[str] = mapped_column(Name)
    caller: Mapped[str] = mapped_column(String(64))
    upsert: Mapped[bool]
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    offset_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    content_type: Mapped[str | None] = mapped_column(Text)
    encoding: Mapped[str | None] = mapped_column(Text)
    cache_control: Mapped[str] = mapped_column(Text)
    described: Mapped[str] = mapped_column(Text, server_default="")
    user_metadata: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    blob_id: Mapped[UUID]
    parts: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    organization_id: Mapped[UUID | None]
    lease: Mapped[UUID | None]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]


class Usage(Base):
    """What an organization keeps. `max_bytes` of null is the setting's figure."""

    __tablename__ = "usage"
    __table_args__ = ({"schema": SCHEMA},)

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.organizations.id", ondelete="CASCADE"), primary_key=True
    )
    used_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    files: Mapped[int] = mapped_column(BigInteger, server_default="0")
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
