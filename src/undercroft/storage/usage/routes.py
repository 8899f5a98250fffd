"""`/organizations/{id}/storage`: HTTP in and out."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from undercroft.foundation.access import Authenticated, Needs
from undercroft.foundation.http import Router, Session
from undercroft.identity.organizations.access import OrganizationToRead
from undercroft.identity.organizations.errors import OrganizationNotFound, RoleTooLow
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
        int | None,
        Field(ge=0, le=2**60, description="Null: the setting's figure.", examples=[1073741824]),
    ]


@router.get("", access=Authenticated(), problems=(OrganizationNotFound, RoleTooLow))
async def get_storage_usage(
    standing: OrganizationToRead, session: Session, files: FilesParts
) -> StorageUsage:
    """What an organization keeps and may keep, for its members."""
    organization = standing.organization.id
    return StorageUsage(**await queries.read_usage(session, organization, files.default_quota))


@router.put("", access=Needs(MANAGE), problems=(OrganizationNotFound, RoleTooLow))
async def set_storage_quota(
    quota: StorageQuota, standing: OrganizationToRead, session: Session, files: FilesParts
) -> StorageUsage:
    """Set how much an organization may keep. What it has already stays."""
    organization = standing.organization.id
    await queries.set_quota(session, organization, quota.max_bytes)
    return StorageUsage(**await queries.read_usage(session, organization, files.default_quota))
