"""Facts about the log itself; they stand in it like all others."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ActivityPurged:
    """Entries before `purged_before` are gone."""

    purged_before: datetime
    entries: int
    by: UUID | None


@dataclass(frozen=True, slots=True)
class ActivityExported:
    """Somebody began to read `since` … `until` in `format`."""

    format: str
    since: datetime
    until: datetime
    by: UUID | None
