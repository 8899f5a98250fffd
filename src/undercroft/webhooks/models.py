"""Webhooks, the events that some webhook asked for, and the way each took."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id, Timestamps
from undercroft.identity.organizations.models import Organization
from undercroft.identity.users.models import User

SCHEMA = "webhooks"


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    SKIPPED = "skipped"


class Webhook(Timestamps, Base):
    """Where to tell what. `failures` counts since the last success, from `failing_since` on."""

    __tablename__ = "webhooks"
    __table_args__ = (
        CheckConstraint("num_nulls(sealed_previous, previous_until) <> 1", name="previous"),
        Index("ix_webhooks_created_at_id", "created_at", "id"),
        {"schema": SCHEMA},
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(100))
    url: Mapped[str] = mapped_column(String(2048))
    organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(Organization.id, ondelete="CASCADE"), index=True
    )
    events: Mapped[list[str]] = mapped_column(ARRAY(String(100)), server_default="{}")
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    header_names: Mapped[list[str]] = mapped_column(ARRAY(String(64)), server_default="{}")
    sealed_headers: Mapped[bytes | None]
    sealed_secret: Mapped[bytes]
    sealed_previous: Mapped[bytes | None]
    previous_until: Mapped[datetime | None]
    is_enabled: Mapped[bool] = mapped_column(server_default="true")
    disabled_reason: Mapped[str | None] = mapped_column(String(32))
    failures: Mapped[int] = mapped_column(server_default="0")
    failing_since: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    created_by: Mapped[UUID | None] = mapped_column(
        ForeignKey(User.id, ondelete="SET NULL"), index=True
    )


class Event(Base):
    """Something that happened and that some webhook asked for. Its id is the `webhook-id`."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_created_at_id", "created_at", "id"), {"schema": SCHEMA})

    id: Mapped[Id]
    type: Mapped[str] = mapped_column(String(100))
    organization_id: Mapped[UUID | None]
    # Not jsonb: rows may hold what that refuses, half a surrogate or a number without an end.
    # It is read as text, which `body.py` makes something of.
    data: Mapped[dict[str, Any]] = mapped_column(JSON, deferred=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Delivery(Base):
    """One event on its way to one webhook.

    There is no foreign key: a row of a publisher's transaction must wait for nobody's deletion of
    a webhook. What has lost its webhook is swept.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id", name="uq_deliveries_webhook_id_event_id"),
        CheckConstraint("state IN ('pending', 'delivered', 'dead', 'skipped')", name="state"),
        Index(
            "ix_deliveries_due",
            "webhook_id",
            "next_attempt_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index("ix_deliveries_webhook_id_created_at_id", "webhook_id", "created_at", "id"),
        Index("ix_deliveries_created_at", "created_at"),
        {"schema": SCHEMA},
    )

    id: Mapped[Id]
    webhook_id: Mapped[UUID]
    event_id: Mapped[UUID] = mapped_column(index=True)
    event_type: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(16), server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default="0")
    tries_left: Mapped[int]
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    claimed_until: Mapped[datetime | None]
    status: Mapped[int | None]
    duration_ms: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class Attempt(Base):
    """One call of the target: what it answered, or why there was no answer."""

    __tablename__ = "attempts"
    __table_args__ = {"schema": SCHEMA}  # noqa: RUF012 - SQLAlchemy's API

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey(Delivery.id, ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    status: Mapped[int | None]
    duration_ms: Mapped[int]
    error: Mapped[str | None] = mapped_column(String(32))
    response: Mapped[str | None] = mapped_column(String(2048))


class PumpLease(Base):
    """Who sends at the moment: one worker in the whole cluster. The table has one row."""

    __tablename__ = "pump"
    __table_args__ = (CheckConstraint("one", name="one"), {"schema": SCHEMA})

    one: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    holder: Mapped[UUID | None]
    held_until: Mapped[datetime] = mapped_column(server_default=text("'-infinity'"))
