"""The log of changes, who reads it, and stored broadcasts. The SQL beside them says more."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id

SCHEMA = {"schema": "realtime"}


class Source(Base):
    """A replication slot there was; the newest is the one in use."""

    __tablename__ = "sources"
    __table_args__ = SCHEMA

    epoch: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    slot: Mapped[str] = mapped_column(String(63))
    started_at: Mapped[datetime] = mapped_column(server_default="now()")


class LoggedBatch(Base):
    """Changes up to (epoch, lsn, ordinal), right after those of the row before."""

    __tablename__ = "change_log"
    __table_args__ = (UniqueConstraint("epoch", "previous_lsn", "previous_ordinal"), SCHEMA)

    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lsn: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    committed_at: Mapped[datetime]
    logged_at: Mapped[datetime] = mapped_column(server_default="now()")
    size_bytes: Mapped[int]
    previous_lsn: Mapped[int] = mapped_column(BigInteger)
    previous_ordinal: Mapped[int]
    batch: Mapped[bytes] = mapped_column(LargeBinary)


class Consumer(Base):
    __tablename__ = "consumers"
    __table_args__ = SCHEMA

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    epoch: Mapped[int]
    lsn: Mapped[int] = mapped_column(BigInteger)
    ordinal: Mapped[int]
    moved_at: Mapped[datetime] = mapped_column(server_default="now()")


class StoredMessage(Base):
    """A broadcast from the database; policies here decide about private channels."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_topic_inserted_at", "topic", "inserted_at"),
        Index("ix_messages_inserted_at", "inserted_at"),
        CheckConstraint("length(topic) BETWEEN 1 AND 255", name="topic"),
        CheckConstraint("length(event) <= 255", name="event"),
        SCHEMA,
    )

    id: Mapped[Id]
    topic: Mapped[str] = mapped_column(Text)
    extension: Mapped[str] = mapped_column(Text)
    payload: Mapped[Any | None] = mapped_column(JSONB)
    event: Mapped[str | None] = mapped_column(Text)
    private: Mapped[bool] = mapped_column(server_default="false")
    inserted_at: Mapped[datetime] = mapped_column(server_default="clock_timestamp()")
    expires_at: Mapped[datetime | None]
