"""Facts about streams."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StreamCreated:
    stream_id: UUID
    site_id: UUID
    name: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class StreamUpdated:
    """`fields` are the names of what changed."""

    stream_id: UUID
    site_id: UUID
    fields: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class StreamDeleted:
    stream_id: UUID
    site_id: UUID
    name: str
    by: UUID | None
