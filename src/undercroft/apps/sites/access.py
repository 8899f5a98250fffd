"""Doors to sites: 404 for who has no part in one, 403 for who may see but not do.

Owners and admins of the organization run its sites; members and guests see those that they were
added to; keys of the organization see all of them and report violations, and run none.
"""

from enum import Enum, auto
from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft import (
    Actor,
    CurrentActor,
    LoadOrganization,
    OrganizationRole,
    Permission,
    RoleTooLow,
    Session,
    find_role,
)
from undercroft.apps.sites import queries
from undercroft.apps.sites.errors import SiteNotFound
from undercroft.apps.sites.models import Site, Violation

MANAGE_ALL = "organizations:manage"
EVERYBODY = ("user",)
PERMISSIONS = (
    Permission("sites:read", "See sites, as one's role in their organization allows.", EVERYBODY),
    Permission("sites:manage", "Run the sites of organizations that one runs.", EVERYBODY),
    Permission("violations:read", "See the violations of the sites that one sees.", EVERYBODY),
    Permission("violations:create", "Report violations at sites that one sees.", EVERYBODY),
    Permission("violations:delete", "Delete violations of sites that one runs.", EVERYBODY),
)


class Need(Enum):
    """What a door asks for."""

    SEE = auto()
    RUN = auto()


class LoadSite:
    """With `lock`, the organization and then the site are held until the commit."""

    def __init__(self, need: Need, *, lock: bool = False) -> None:
        self._need = need
        self._lock = lock

    async def __call__(self, site_id: UUID, session: Session, actor: CurrentActor) -> Site:
        site = await queries.get_site(session, site_id)
        if not await self._may_run(session, site, actor) and self._need is Need.RUN:
            raise RoleTooLow(OrganizationRole.ADMIN.value)
        if self._lock:
            load = LoadOrganization(OrganizationRole.ADMIN, lock=True)
            await load(site.organization_id, session, actor)
            # It may have been deleted while we waited.
            site = await queries.get_site(session, site_id, lock=True)
        return site

    async def _may_run(self, session: Session, site: Site, actor: Actor) -> bool:
        """Raises `SiteNotFound` unless the caller may at least see it."""
        if actor.has(MANAGE_ALL):
            return True
        role = await find_role(session, site.organization_id, actor)
        if role is None:
            raise SiteNotFound
        if role.reaches(OrganizationRole.ADMIN):
            return True
        if actor.api_key_id is None and not await queries.is_user(session, site.id, actor.user_id):
            raise SiteNotFound
        return False


SiteToRead = Annotated[Site, Depends(LoadSite(Need.SEE))]
SiteToRun = Annotated[Site, Depends(LoadSite(Need.RUN))]
SiteToChange = Annotated[Site, Depends(LoadSite(Need.RUN, lock=True))]


async def _violation(site: SiteToRead, violation_id: UUID, session: Session) -> Violation:
    return await queries.get_violation(session, site.id, violation_id)


async def _violation_to_change(site: SiteToRead, violation_id: UUID, session: Session) -> Violation:
    return await queries.get_violation(session, site.id, violation_id, lock=True)


ViolationToRead = Annotated[Violation, Depends(_violation)]
ViolationToChange = Annotated[Violation, Depends(_violation_to_change)]
