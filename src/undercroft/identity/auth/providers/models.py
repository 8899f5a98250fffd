"""Who people are elsewhere, and the sign-ins that are under way."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id


class LinkedIdentity(Base):
    """An account elsewhere that opens one here. Its `subject` names it, never its address."""

    __tablename__ = "identities"
    __table_args__ = (
        UniqueConstraint("provider", "subject", name="uq_identities_provider_subject"),
        CheckConstraint("subject <> ''", name="subject"),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), index=True
    )
    provider: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(320))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]


class ProviderFlow(Base):
    """One trip to a provider and back, bound to the browser that began it.

    What only we may know of it (verifier, nonce, where to go then) is sealed.
    """

    __tablename__ = "provider_flows"
    __table_args__ = (
        Index("ix_provider_flows_expires_at", "expires_at"),
        {"schema": "auth"},
    )

    state_hash: Mapped[bytes] = mapped_column(primary_key=True)
    browser_hash: Mapped[bytes]
    provider: Mapped[str] = mapped_column(String(64))
    sealed: Mapped[bytes]
    expires_at: Mapped[datetime]


class SignInGrant(Base):
    """What an application gets in its URL after the trip, to exchange for tokens once.

    Worthless without the verifier of `challenge` (PKCE), which never was in a URL.
    """

    __tablename__ = "sign_in_grants"
    __table_args__ = (
        Index("ix_sign_in_grants_expires_at", "expires_at"),
        {"schema": "auth"},
    )

    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), index=True
    )
    challenge: Mapped[str] = mapped_column(String(128))
    method: Mapped[str] = mapped_column(String(80))
    expires_at: Mapped[datetime]
