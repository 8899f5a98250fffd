"""`/organizations/{id}/storage`: HTTP in and out."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from undercroft.foundation.access import Authenticated, Needs
from undercroft.foundation.http import Router, Session
from undercroft.identity.organizations.access import OrganizationToRead
from undercroft.identity.organizations.errors import OrganizationNotFound, RoleTooLow
from undercroft.identity.organizations.models import Organization
from undercroft.identity.organizations.queries import get_organization
from undercroft.storage.callers import MANAGE
from undercroft.storage.parts import FilesParts
from undercroft.storage.usage import queries

router = Router("/organizations/{organization_id}/storage", tag="storage")


class StorageUsage(BaseModel):
    used_bytes: int = Field(description="Bytes of all files of its buckets.", examples=[52428800])
    files: int = Field(description="How many files that is.", examples=[120])
    max_bytes: int | None = Field(
        description="What it may keep; null without a limit.", examples=[1073741824]
    )


class StorageQuota(BaseModel):
    model_config = ConfigDict(extra="forbid")

    max_bytes: Annotated[
        StrictInt | None,
        Field(ge=0, le=2**60, description="Null: the setting's figure.", examples=[1073741824]),
    ]


@router.get("", access=Authenticated(), problems=(OrganizationNotFound, RoleTooLow))
async def get_storage_usage(
    standing: OrganizationToRead, session: Session, files: FilesParts
) -> StorageUsage:
    """What an organization keeps and may keep, for its members."""
    organization = standing.organization.id
    return StorageUsage(**await queries.read_usage(session, organization, files.default_quota))


async def _organization(organization_id: UUID, session: Session) -> Organization:
    return await get_organization(session, organization_id)


@router.put("", access=Needs(MANAGE), problems=(OrganizationNotFound,))
async def set_storage_quota(
    quota: StorageQuota,
    organization: Annotated[Organization, Depends(_organization)],
    session: Session,
    files: FilesParts,
) -> StorageUsage:
    """Set how much an organization may keep. What it has already stays."""
    await queries.set_quota(session, organization.id, quota.max_bytes)
    return StorageUsage(**await queries.read_usage(session, organization.id, files.default_quota))
