"""Sites, who may look at them, and violations.

What a site leaves behind outside Postgres is noted by triggers in `sites.leftovers`, so that no way
of deleting it, the organization's included, forgets anything.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from undercroft import Base, Id, Timestamps

SCHEMA = "sites"


class Site(Timestamps, Base):
    __tablename__ = "sites"
    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        UniqueConstraint("id", "organization_id"),
        Index("ix_sites_name_id", "name", "id"),
        {"schema": SCHEMA},
    )

    id: Mapped[Id]
    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.organizations.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(String(80))


class SiteUser(Base):
    """A member of the site's organization: leaving the one takes away the other."""

    __tablename__ = "site_users"
    __table_args__ = (
        ForeignKeyConstraint(
            ["site_id", "organization_id"],
            ["sites.sites.id", "sites.sites.organization_id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["auth.memberships.organization_id", "auth.memberships.user_id"],
            ondelete="CASCADE",
        ),
        Index("ix_site_users_organization_id_user_id", "organization_id", "user_id"),
        Index("ix_site_users_user_id", "user_id"),
        {"schema": SCHEMA},
    )

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Violation(Base):
    __tablename__ = "violations"
    __table_args__ = (
        Index("ix_violations_site_id_detected_at_id", "site_id", "detected_at", "id"),
        {"schema": SCHEMA},
    )

    id: Mapped[Id]
    site_id: Mapped[UUID] = mapped_column(ForeignKey("sites.sites.id", ondelete="CASCADE"))
    stream_name: Mapped[str] = mapped_column(String(80))
    detected_at: Mapped[datetime]
    detections: Mapped[list[Any]] = mapped_column(JSONB)
    warnings: Mapped[list[Any]] = mapped_column(JSONB)
    cone_polygon: Mapped[list[Any]] = mapped_column(JSONB)
    pole_polygon: Mapped[list[Any]] = mapped_column(JSONB)
    image: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Leftover(Base):
    """`kind` is frames (`name` is the site's) or image (the file's)."""

    __tablename__ = "leftovers"
    __table_args__ = {"schema": SCHEMA}  # noqa: RUF012 - SQLAlchemy's API

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(255))
