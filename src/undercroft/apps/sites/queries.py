"""Every SELECT about sites."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft import Actor, Membership, OrganizationRole, PageRequest, find_role, paginate
from undercroft.apps.sites.errors import SiteNotFound, SiteUserNotFound, ViolationNotFound
from undercroft.apps.sites.models import Leftover, Site, SiteUser, Violation

RUNNING = (OrganizationRole.OWNER.value, OrganizationRole.ADMIN.value)
MANAGE_ALL = "organizations:manage"


async def get_site(session: AsyncSession, site_id: UUID, *, lock: bool = False) -> Site:
    found = await session.get(Site, site_id, with_for_update=lock, populate_existing=lock)
    if found is None:
        raise SiteNotFound
    return found


async def is_user(session: AsyncSession, site_id: UUID, user_id: UUID | None) -> bool:
    return user_id is not None and await session.get(SiteUser, (site_id, user_id)) is not None


async def list_sites(
    session: AsyncSession,
    actor: Actor,
    page: PageRequest,
    *,
    organization_id: UUID | None,
    search: str | None,
) -> tuple[list[Site], str | None, int | None]:
    """Those that the caller may see, by name."""
    statement = await _visible(session, actor)
    if organization_id:
        statement = statement.where(Site.organization_id == organization_id)
    if search:
        statement = statement.where(Site.name.icontains(search, autoescape=True))
    keys = (Site.name, Site.id)
    sorts = {"name": Site.name, "created_at": Site.created_at}
    return await paginate(session, statement, page, keys=keys, descending=False, sorts=sorts)


async def _visible(session: AsyncSession, actor: Actor) -> Select[Any]:
    every = select(Site)
    if actor.has(MANAGE_ALL):
        return every
    if actor.api_key_id is not None:
        own = actor.organization_id
        role = await find_role(session, own, actor) if own else None
        return every.where(Site.organization_id == own if role else Site.id.is_(None))
    running = select(Membership.organization_id).where(
        Membership.user_id == actor.user_id, Membership.role.in_(RUNNING)
    )
    added_to = select(SiteUser.site_id).where(SiteUser.user_id == actor.user_id)
    return every.where(or_(Site.organization_id.in_(running), Site.id.in_(added_to)))


async def list_run_organizations(session: AsyncSession, actor: Actor) -> list[UUID]:
    """At most two of the organizations that the caller runs: enough to tell one from several."""
    statement = select(Membership.organization_id).where(
        Membership.user_id == actor.user_id, Membership.role.in_(RUNNING)
    )
    return list(await session.scalars(statement.limit(2)))


async def list_run_among(
    session: AsyncSession, actor: Actor, organizations: Collection[UUID]
) -> set[UUID]:
    if actor.has(MANAGE_ALL):
        return set(organizations)
    statement = select(Membership.organization_id).where(
        Membership.user_id == actor.user_id,
        Membership.role.in_(RUNNING),
        Membership.organization_id.in_(organizations),
    )
    return set(await session.scalars(statement))


async def map_users(session: AsyncSession, site_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    statement = select(SiteUser.site_id, func.array_agg(SiteUser.user_id)).where(
        SiteUser.site_id.in_(site_ids)
    )
    rows = await session.execute(statement.group_by(SiteUser.site_id))
    return {site_id: sorted(users) for site_id, users in rows.all()}


async def list_users(
    session: AsyncSession, site_id: UUID, page: PageRequest
) -> tuple[list[SiteUser], str | None, int | None]:
    statement = select(SiteUser).where(SiteUser.site_id == site_id)
    keys = (SiteUser.added_at, SiteUser.user_id)
    sorts = {"added_at": SiteUser.added_at}
    return await paginate(session, statement, page, keys=keys, descending=False, sorts=sorts)


async def get_user(session: AsyncSession, site_id: UUID, user_id: UUID) -> SiteUser:
    found = await session.get(SiteUser, (site_id, user_id))
    if found is None:
        raise SiteUserNotFound
    return found


async def is_member(session: AsyncSession, organization_id: UUID, user_id: UUID) -> bool:
    return await session.get(Membership, (organization_id, user_id)) is not None


async def list_violations(
    session: AsyncSession,
    site_id: UUID,
    page: PageRequest,
    *,
    stream_name: str | None,
    since: datetime | None,
    until: datetime | None,
) -> tuple[list[Violation], str | None, int | None]:
    """The newest first."""
    statement = select(Violation).where(Violation.site_id == site_id)
    if stream_name:
        statement = statement.where(Violation.stream_name == stream_name)
    if since:
        statement = statement.where(Violation.detected_at >= since)
    if until:
        statement = statement.where(Violation.detected_at < until)
    keys = (Violation.detected_at, Violation.id)
    sorts = {"detected_at": Violation.detected_at}
    return await paginate(session, statement, page, keys=keys, sorts=sorts)


async def get_violation(
    session: AsyncSession, site_id: UUID, violation_id: UUID, *, lock: bool = False
) -> Violation:
    found = await session.get(Violation, violation_id, with_for_update=lock)
    if found is None or found.site_id != site_id:
        raise ViolationNotFound
    return found


async def take_leftovers(session: AsyncSession, limit: int) -> list[Leftover]:
    """Locked, and skipping what another worker has: two may clean up at once."""
    statement = select(Leftover).order_by(Leftover.id).limit(limit)
    return list(await session.scalars(statement.with_for_update(skip_locked=True)))


async def list_names_in_use(session: AsyncSession, names: Collection[Any]) -> set[str]:
    """Sites of different organizations may share a name, and so the frames of it."""
    return set(await session.scalars(select(Site.name).where(Site.name.in_(names))))
