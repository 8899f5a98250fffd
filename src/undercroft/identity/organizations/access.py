"""Doors to an organization: 404 for who has no part in it, 403 for too low a role.

What changes members, roles or invitations locks the organization's row first, so that two who
act at once act one after the other, and roles are read behind the lock.
"""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft.foundation.access import Actor
from undercroft.foundation.http import CurrentActor, Session
from undercroft.identity.organizations import queries
from undercroft.identity.organizations.errors import (
    OrganizationInactive,
    OrganizationNotFound,
    RoleTooLow,
)
from undercroft.identity.organizations.models import Organization, OrganizationRole

MANAGE = "organizations:manage"


@dataclass(frozen=True, slots=True)
class Standing:
    """An organization and what its caller may do there. Managers of all act as owners.

    `member_role` is null for a manager who is no member.
    """

    organization: Organization
    role: OrganizationRole
    member_role: OrganizationRole | None
    actor: Actor

    @property
    def manages_all(self) -> bool:
        return self.actor.has(MANAGE)


class LoadOrganization:
    def __init__(self, needed: OrganizationRole, *, lock: bool = False) -> None:
        self._needed = needed
        self._lock = lock

    async def __call__(
        self, organization_id: UUID, session: Session, actor: CurrentActor
    ) -> Standing:
        organization, member_role = await self._load(session, organization_id, actor)
        role = OrganizationRole.OWNER if actor.has(MANAGE) else member_role
        if role is None:
            raise OrganizationNotFound
        if not role.reaches(self._needed):
            raise RoleTooLow(self._needed.value)
        if self._lock and not organization.is_active and not actor.has(MANAGE):
            raise OrganizationInactive
        return Standing(organization, role, member_role, actor)

    async def _load(
        self, session: Session, organization_id: UUID, actor: Actor
    ) -> tuple[Organization, OrganizationRole | None]:
        if not self._lock:
            return await queries.get_organization_and_role(session, organization_id, actor)
        organization = await queries.get_organization(session, organization_id, lock=True)
        return organization, await queries.find_role(session, organization_id, actor)


OrganizationToSee = Annotated[Standing, Depends(LoadOrganization(OrganizationRole.GUEST))]
OrganizationToRead = Annotated[Standing, Depends(LoadOrganization(OrganizationRole.MEMBER))]
OrganizationToLeave = Annotated[
    Standing, Depends(LoadOrganization(OrganizationRole.GUEST, lock=True))
]
OrganizationToRun = Annotated[Standing, Depends(LoadOrganization(OrganizationRole.ADMIN))]
OrganizationToChange = Annotated[
    Standing, Depends(LoadOrganization(OrganizationRole.ADMIN, lock=True))
]
OrganizationToOwn = Annotated[
    Standing, Depends(LoadOrganization(OrganizationRole.OWNER, lock=True))
]
