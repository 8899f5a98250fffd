"""Facts about the files of accounts."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class MediaUploaded:
    media_id: UUID
    owner_id: UUID
    content_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MediaDeleted:
    media_id: UUID
    owner_id: UUID
    by: UUID | None
