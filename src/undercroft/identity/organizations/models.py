"""Organizations and who belongs to them in which role."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id, Timestamps

ROLES = "role IN ('owner', 'admin', 'member', 'guest')"


class OrganizationRole(StrEnum):
    """From the one who may everything down to the one who only sees that it exists."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    GUEST = "guest"

    @property
    def rank(self) -> int:
        """0 is the highest."""
        return list(OrganizationRole).index(self)

    def reaches(self, other: "OrganizationRole") -> bool:
        return self.rank <= other.rank


def _by_trigrams(name: str) -> Index:
    """For searches by a part of a text; only where the server has pg_trgm."""
    return Index(
        f"ix_organizations_{name}_trigrams",
        text(f"lower({name})"),
        postgresql_using="gin",
        postgresql_ops={f"lower({name})": "gin_trgm_ops"},
    )


class Organization(Timestamps, Base):
    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        CheckConstraint("uniform_number ~ '^[0-9]{8}$'", name="uniform_number"),
        CheckConstraint("max_allowed_streams >= 0 AND max_members >= 1", name="limits"),
        Index("ix_organizations_created_at_id", "created_at", "id"),
        *(_by_trigrams(name) for name in ("name", "slug")),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(255))
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    description: Mapped[str | None] = mapped_column(String(1000))
    is_active: Mapped[bool] = mapped_column(server_default="true")
    uniform_number: Mapped[str | None] = mapped_column(String(8), unique=True)
    max_allowed_streams: Mapped[int] = mapped_column(server_default="8")
    max_members: Mapped[int | None]
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))


class Membership(Base):
    __tablename__ = "memberships"
    __table_args__ = (
        CheckConstraint(ROLES, name="role"),
        Index(
            "ix_memberships_organization_id_joined_at", "organization_id", "joined_at", "user_id"
        ),
        {"schema": "auth"},
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.organizations.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[str] = mapped_column(String(16))
    joined_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Invitation(Base):
    """A seat offered to an e-mail address. The token is only ever in the mail."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint(ROLES, name="role"),
        Index(
            "uq_invitations_open",
            "organization_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.organizations.id", ondelete="CASCADE")
    )
    email: Mapped[str] = mapped_column(String(320), index=True)
    role: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    invited_by: Mapped[UUID | None] = mapped_column(
        ForeignKey("auth.users.id", ondelete="SET NULL"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
