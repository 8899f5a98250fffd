"""Stream configurations. A stream's URL often holds a password, so it is sealed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from undercroft import Base, Id, Timestamps


class Stream(Timestamps, Base):
    __tablename__ = "streams"
    __table_args__ = (
        UniqueConstraint("site_id", "name"),
        CheckConstraint(
            "work_start_hour BETWEEN 0 AND 24 AND work_end_hour BETWEEN 0 AND 24", name="hours"
        ),
        {"schema": "streams"},
    )

    id: Mapped[Id]
    site_id: Mapped[UUID] = mapped_column(ForeignKey("sites.sites.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(80))
    video_url_sealed: Mapped[bytes]
    model_key: Mapped[str] = mapped_column(String(80))
    detect_with_server: Mapped[bool]
    store_in_redis: Mapped[bool]
    work_start_hour: Mapped[int] = mapped_column(SmallInteger)
    work_end_hour: Mapped[int] = mapped_column(SmallInteger)
    detect_no_safety_vest_or_helmet: Mapped[bool]
    detect_near_machinery_or_vehicle: Mapped[bool]
    detect_in_restricted_area: Mapped[bool]
    detect_in_utility_pole_restricted_area: Mapped[bool]
    detect_machinery_close_to_pole: Mapped[bool]
    expires_at: Mapped[datetime | None]
