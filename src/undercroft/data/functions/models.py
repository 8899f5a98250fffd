"""Functions and triggers that are kept in versions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, OID
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id, Timestamps
from undercroft.identity.users.models import User


class Definition(Timestamps, Base):
    """One function or trigger. `live` is what Postgres said of it when it was saved."""

    __tablename__ = "definitions"
    __table_args__ = (
        CheckConstraint("kind IN ('function', 'trigger')", name="kind"),
        UniqueConstraint("kind", "object_id"),
        {"schema": "undercroft"},
    )

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(16))
    schema_name: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(63))
    signature: Mapped[str] = mapped_column(Text)
    object_id: Mapped[int] = mapped_column(OID)
    definition: Mapped[str] = mapped_column(Text)
    live: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(ARRAY(String(63)))
    version: Mapped[int] = mapped_column(Integer)


class DefinitionVersion(Base):
    __tablename__ = "definition_versions"
    __table_args__ = {"schema": "undercroft"}  # noqa: RUF012 - SQLAlchemy's API

    definition_id: Mapped[UUID] = mapped_column(
        ForeignKey(Definition.id, ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    definition: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(ARRAY(String(63)))
    created_by: Mapped[UUID | None] = mapped_column(
        ForeignKey(User.id, ondelete="SET NULL"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
