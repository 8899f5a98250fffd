"""What was run in the console, and snippets that people keep."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from undercroft.foundation.db import Base, Id, Timestamps
from undercroft.identity.users.models import User


class SqlRun(Base):
    """One script that somebody sent, written before it runs and finished after.

    `caller` outlives the account. `outcome` is `running` until the end is known.
    """

    __tablename__ = "sql_runs"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('running', 'succeeded', 'failed', 'cancelled', 'lost')", name="outcome"
        ),
        Index("ix_sql_runs_created_at_id", "created_at", "id"),
        Index("ix_sql_runs_caller_created_at_id", "caller", "created_at", "id"),
        {"schema": "undercroft"},
    )

    id: Mapped[Id]
    user_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(User.id, ondelete="SET NULL"), index=True
    )
    caller: Mapped[str] = mapped_column(String(100))
    query: Mapped[str] = mapped_column(Text)
    is_truncated: Mapped[bool] = mapped_column(server_default="false")
    read_only: Mapped[bool]
    dry_run: Mapped[bool]
    outcome: Mapped[str] = mapped_column(String(16))
    sqlstate: Mapped[str | None] = mapped_column(String(5))
    error: Mapped[str | None] = mapped_column(String(1000))
    statements: Mapped[int | None]
    row_count: Mapped[int | None]
    milliseconds: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SqlSnippet(Timestamps, Base):
    """SQL that its owner keeps; `is_shared` lets everybody with the console see it."""

    __tablename__ = "sql_snippets"
    __table_args__ = (
        Index("ix_sql_snippets_created_at_id", "created_at", "id"),
        {"schema": "undercroft"},
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(String(2000))
    sql_code: Mapped[str] = mapped_column(Text)
    is_shared: Mapped[bool] = mapped_column(server_default="false")
