"""Feature flags and whom they are on for; `auth.feature_is_on` in SQL decides."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id, Timestamps


class Feature(Timestamps, Base):
    __tablename__ = "features"
    __table_args__ = (
        CheckConstraint("percentage BETWEEN 0 AND 100", name="percentage"),
        CheckConstraint("starts_at < ends_at", name="schedule"),
        {"schema": "auth"},
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(100), unique=True)
    description: Mapped[str | None] = mapped_column(String(1000))
    is_active: Mapped[bool] = mapped_column(server_default="true")
    percentage: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]


class FeatureOrganization(Base):
    __tablename__ = "feature_organizations"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012 - SQLAlchemy's API

    feature_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.features.id", ondelete="CASCADE"), primary_key=True
    )
    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.organizations.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class FeatureGroup(Base):
    __tablename__ = "feature_groups"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012

    feature_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.features.id", ondelete="CASCADE"), primary_key=True
    )
    group_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.groups.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class FeatureUser(Base):
    __tablename__ = "feature_users"
    __table_args__ = {"schema": "auth"}  # noqa: RUF012

    feature_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.features.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth.users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
