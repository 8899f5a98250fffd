"""`notifications.messages`: every message that was to be sent, and what became of it."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id


class Channel(StrEnum):
    EMAIL = "email"
    SMS = "sms"
    WHATSAPP = "whatsapp"


class MessageState(StrEnum):
    """`local`: no carrier is set up, so it waits for `undercroft outbox` to show it."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    LOCAL = "local"


class Message(Base):
    """What the template is filled with is sealed, because it holds codes, and forgotten once sent.

    A row in `sending` belongs to one worker until `claimed_at` is older than a try can take.
    """

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("channel IN ('email', 'sms', 'whatsapp')", name="channel"),
        CheckConstraint("state IN ('queued', 'sending', 'sent', 'failed', 'local')", name="state"),
        Index("ix_messages_created_at_id", "created_at", "id"),
        {"schema": "notifications"},
    )

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(64))
    channel: Mapped[str] = mapped_column(String(16))
    recipient: Mapped[str] = mapped_column(String(320), index=True)
    language: Mapped[str] = mapped_column(String(8))
    sealed_values: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(String(16), server_default=MessageState.QUEUED)
    attempts: Mapped[int] = mapped_column(server_default="0")
    provider_id: Mapped[str | None] = mapped_column(String(255))
    error: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
