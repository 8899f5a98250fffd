"""Facts about streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StreamCreated:
    stream_id: UUID
    site_id: UUID
    organization_id: UUID
    name: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class StreamUpdated:
    """`fields` are the names of what changed."""

    stream_id: UUID
    site_id: UUID
    organization_id: UUID
    fields: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class StreamDeleted:
    stream_id: UUID
    site_id: UUID
    organization_id: UUID
    name: str
    by: UUID | None


# What they are called to other servers.
WEBHOOKS: Mapping[type, str] = {
    StreamCreated: "streams.created",
    StreamUpdated: "streams.updated",
    StreamDeleted: "streams.deleted",
}
