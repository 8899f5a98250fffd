"""The verbs on sites and violations. The doors have checked who calls."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft import Actor, MemberNotFound, enqueue, publish
from undercroft.apps.sites import queries
from undercroft.apps.sites.errors import OrganizationNeeded, SiteNameTaken, SiteNotFound
from undercroft.apps.sites.events import (
    SiteCreated,
    SiteDeleted,
    SiteRenamed,
    SiteUserAdded,
    SiteUserRemoved,
    ViolationReported,
    ViolationsDeleted,
)
from undercroft.apps.sites.jobs import remove_leftovers
from undercroft.apps.sites.models import Site, SiteUser, Violation


async def choose_organization(session: AsyncSession, wanted: UUID | None, actor: Actor) -> UUID:
    """The one that was named, else the only one that the caller runs."""
    if wanted or (wanted := actor.organization_id):
        return wanted
    found = await queries.list_run_organizations(session, actor)
    if len(found) != 1:
        raise OrganizationNeeded
    return found[0]


async def create_site(
    session: AsyncSession, organization_id: UUID, name: str, *, actor: Actor
) -> Site:
    site = Site(organization_id=organization_id, name=name)
    session.add(site)
    await _flush(session)
    await session.refresh(site)
    publish(session, SiteCreated(site.id, organization_id, name, by=actor.user_id))
    return site


async def rename_site(session: AsyncSession, site: Site, name: str, *, actor: Actor) -> None:
    """Its violations and streams hang on the id; frames of the old name are removed."""
    if name == site.name:
        return
    site.name = name
    await _flush(session)
    await enqueue(session, remove_leftovers)
    publish(session, SiteRenamed(site.id, site.organization_id, name, by=actor.user_id))


async def delete_site(session: AsyncSession, site: Site, *, actor: Actor) -> None:
    """With its users, streams and violations; images and frames go after the commit."""
    await session.delete(site)
    await session.flush()
    await enqueue(session, remove_leftovers)
    publish(session, SiteDeleted(site.id, site.organization_id, site.name, by=actor.user_id))


async def add_user(session: AsyncSession, site: Site, user_id: UUID, *, actor: Actor) -> SiteUser:
    """Raises `MemberNotFound` for who does not belong to the site's organization."""
    if not await queries.is_member(session, site.organization_id, user_id):
        raise MemberNotFound
    values = {"site_id": site.id, "user_id": user_id, "organization_id": site.organization_id}
    statement = insert(SiteUser).values(values).on_conflict_do_nothing().returning(SiteUser.user_id)
    try:
        added = await session.scalar(statement)
    except IntegrityError as error:  # left the organization just now
        raise MemberNotFound from error
    if added:
        publish(session, SiteUserAdded(site.id, site.organization_id, user_id, by=actor.user_id))
    return await queries.get_user(session, site.id, user_id)


async def remove_user(session: AsyncSession, site: Site, user_id: UUID, *, actor: Actor) -> None:
    await session.delete(await queries.get_user(session, site.id, user_id))
    await session.flush()
    publish(session, SiteUserRemoved(site.id, site.organization_id, user_id, by=actor.user_id))


async def report_violation(
    session: AsyncSession, site: Site, values: dict[str, Any], *, actor: Actor
) -> Violation:
    violation = Violation(site_id=site.id, image=None, **values)
    session.add(violation)
    try:
        await session.flush()
    except IntegrityError as error:  # the site was deleted just now
        raise SiteNotFound from error
    await session.refresh(violation)
    where = (site.id, site.organization_id)
    publish(
        session,
        ViolationReported(violation.id, *where, violation.stream_name, by=actor.user_id),
    )
    return violation


async def delete_violation(
    session: AsyncSession, site: Site, violation: Violation, *, actor: Actor
) -> None:
    await session.delete(violation)
    await session.flush()
    await enqueue(session, remove_leftovers)
    publish(session, ViolationsDeleted(site.id, site.organization_id, 1, by=actor.user_id))


async def delete_violations(
    session: AsyncSession, site: Site, before: datetime | None, *, actor: Actor
) -> int:
    """All of a site, or those older than `before`."""
    statement = delete(Violation).where(Violation.site_id == site.id)
    if before:
        statement = statement.where(Violation.detected_at < before)
    gone = (await session.execute(statement.returning(Violation.id))).all()
    if gone:
        await enqueue(session, remove_leftovers)
        where = (site.id, site.organization_id)
        publish(session, ViolationsDeleted(*where, len(gone), by=actor.user_id))
    return len(gone)


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise SiteNameTaken from error
