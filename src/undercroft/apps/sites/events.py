"""Facts about sites."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SiteCreated:
    site_id: UUID
    organization_id: UUID
    name: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class SiteRenamed:
    site_id: UUID
    organization_id: UUID
    name: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class SiteDeleted:
    site_id: UUID
    organization_id: UUID
    name: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class SiteUserAdded:
    site_id: UUID
    organization_id: UUID
    user_id: UUID
    by: UUID | None


@dataclass(frozen=True, slots=True)
class SiteUserRemoved:
    site_id: UUID
    organization_id: UUID
    user_id: UUID
    by: UUID | None


@dataclass(frozen=True, slots=True)
class ViolationReported:
    violation_id: UUID
    site_id: UUID
    organization_id: UUID
    stream_name: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class ViolationsDeleted:
    site_id: UUID
    organization_id: UUID
    count: int
    by: UUID | None


# What they are called to other servers.
WEBHOOKS: Mapping[type, str] = {
    SiteCreated: "sites.created",
    SiteRenamed: "sites.renamed",
    SiteDeleted: "sites.deleted",
    SiteUserAdded: "sites.user_added",
    SiteUserRemoved: "sites.user_removed",
    ViolationReported: "sites.violation_reported",
    ViolationsDeleted: "sites.violations_deleted",
}
