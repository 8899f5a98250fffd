"""Facts about buckets and files. `by` is the account that did it, None for keys and the system."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class BucketCreated:
    bucket: str
    organization_id: UUID | None
    by: UUID | None


@dataclass(frozen=True, slots=True)
class BucketUpdated:
    """`fields` are the names of what was set."""

    bucket: str
    fields: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class BucketEmptied:
    bucket: str
    files: int
    by: UUID | None


@dataclass(frozen=True, slots=True)
class BucketDeleted:
    bucket: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class ObjectUploaded:
    """A new file, or new bytes under a name that there was."""

    object_id: UUID
    bucket: str
    name: str
    size_bytes: int
    content_type: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class ObjectMoved:
    object_id: UUID
    bucket: str
    name: str
    from_bucket: str
    from_name: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class ObjectRemoved:
    object_id: UUID
    bucket: str
    name: str
    by: UUID | None
