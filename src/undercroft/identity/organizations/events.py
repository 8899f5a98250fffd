"""Facts about organizations."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OrganizationCreated:
    organization_id: UUID
    slug: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class OrganizationUpdated:
    """`fields` are the names of what changed."""

    organization_id: UUID
    fields: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class OrganizationDeleted:
    organization_id: UUID
    slug: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class MemberInvited:
    """`describe_invitation` has what the mail needs, the link's secret included."""

    invitation_id: UUID
    organization_id: UUID
    by: UUID | None


@dataclass(frozen=True, slots=True)
class MemberJoined:
    organization_id: UUID
    user_id: UUID
    role: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class MemberRoleChanged:
    organization_id: UUID
    user_id: UUID
    role: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Left by themselves, or was removed by somebody else."""

    organization_id: UUID
    user_id: UUID
    by: UUID | None
