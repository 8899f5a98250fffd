"""`/sites` and their users."""

from typing import Annotated
from uuid import UUID

from undercroft import (
    CurrentActor,
    LoadOrganization,
    MemberNotFound,
    Needs,
    OrganizationInactive,
    OrganizationNotFound,
    OrganizationRole,
    Page,
    PageRequest,
    RoleTooLow,
    Router,
    Session,
    searched_by,
    sorted_by,
)
from undercroft.apps.sites import queries, schemas, service
from undercroft.apps.sites.access import SiteToChange, SiteToRead, SiteToRun
from undercroft.apps.sites.errors import (
    OrganizationNeeded,
    SiteNameTaken,
    SiteNotFound,
    SiteUserNotFound,
)
from undercroft.apps.sites.models import Site

router = Router("/sites", tag="sites")

CHANGED = (SiteNotFound, RoleTooLow, OrganizationInactive)


@router.get("", access=Needs("sites:read"))
async def list_sites(
    session: Session,
    page: Annotated[PageRequest, sorted_by("name", "created_at")],
    actor: CurrentActor,
    organization_id: UUID | None = None,
    search: Annotated[str | None, searched_by("Part of the name.")] = None,
) -> Page[schemas.SiteRead]:
    """The sites that you run, or were added to, by name."""
    found, cursor, total = await queries.list_sites(
        session, actor, page, organization_id=organization_id, search=search
    )
    items = await _described(session, found, actor)
    return Page[schemas.SiteRead](items=items, next_cursor=cursor, total=total)


@router.post(
    "",
    access=Needs("sites:manage"),
    status_code=201,
    problems=(
        OrganizationNotFound,
        RoleTooLow,
        OrganizationInactive,
        OrganizationNeeded,
        SiteNameTaken,
    ),
)
async def create_site(
    new: schemas.SiteCreate, session: Session, actor: CurrentActor
) -> schemas.SiteRead:
    """Add a site to an organization that you own or administer."""
    chosen = await service.choose_organization(session, new.organization_id, actor)
    await LoadOrganization(OrganizationRole.ADMIN, lock=True)(chosen, session, actor)
    site = await service.create_site(session, chosen, new.name, actor=actor)
    return schemas.SiteRead.model_validate(site)


@router.get("/{site_id}", access=Needs("sites:read"), problems=(SiteNotFound,))
async def get_site(site: SiteToRead, session: Session, actor: CurrentActor) -> schemas.SiteRead:
    """One site."""
    return (await _described(session, [site], actor))[0]


@router.patch("/{site_id}", access=Needs("sites:manage"), problems=(*CHANGED, SiteNameTaken))
async def update_site(
    change: schemas.SiteUpdate, site: SiteToChange, session: Session, actor: CurrentActor
) -> schemas.SiteRead:
    """Rename a site. What belongs to it stays with it."""
    if "name" in change.model_fields_set:
        await service.rename_site(session, site, change.name, actor=actor)
    return (await _described(session, [site], actor))[0]


@router.delete("/{site_id}", access=Needs("sites:manage"), status_code=204, problems=CHANGED)
async def delete_site(site: SiteToChange, session: Session, actor: CurrentActor) -> None:
    """Delete a site with its streams, violations, images and stored frames."""
    await service.delete_site(session, site, actor=actor)


@router.get("/{site_id}/users", access=Needs("sites:read"), problems=(SiteNotFound, RoleTooLow))
async def list_site_users(
    site: SiteToRun, session: Session, page: Annotated[PageRequest, sorted_by("added_at")]
) -> Page[schemas.SiteUserRead]:
    """Whom the site is shown to, beside those who run it."""
    found, cursor, total = await queries.list_users(session, site.id, page)
    items = [schemas.SiteUserRead.model_validate(entry) for entry in found]
    return Page[schemas.SiteUserRead](items=items, next_cursor=cursor, total=total)


@router.get(
    "/{site_id}/users/{user_id}",
    access=Needs("sites:read"),
    problems=(SiteNotFound, RoleTooLow, SiteUserNotFound),
)
async def get_site_user(site: SiteToRun, user_id: UUID, session: Session) -> schemas.SiteUserRead:
    """Whether the site is shown to somebody, and since when."""
    found = await queries.get_user(session, site.id, user_id)
    return schemas.SiteUserRead.model_validate(found)


@router.put(
    "/{site_id}/users/{user_id}",
    access=Needs("sites:manage"),
    problems=(*CHANGED, MemberNotFound),
)
async def add_site_user(
    site: SiteToChange, user_id: UUID, session: Session, actor: CurrentActor
) -> schemas.SiteUserRead:
    """Show the site to a member of its organization. Doing it again changes nothing."""
    added = await service.add_user(session, site, user_id, actor=actor)
    return schemas.SiteUserRead.model_validate(added)


@router.delete(
    "/{site_id}/users/{user_id}",
    access=Needs("sites:manage"),
    status_code=204,
    problems=(*CHANGED, SiteUserNotFound),
)
async def remove_site_user(
    site: SiteToChange, user_id: UUID, session: Session, actor: CurrentActor
) -> None:
    """Show the site to somebody no longer. Leaving the organization does that too."""
    await service.remove_user(session, site, user_id, actor=actor)


async def _described(
    session: Session, sites: list[Site], actor: CurrentActor
) -> list[schemas.SiteRead]:
    run = await queries.list_run_among(session, actor, {site.organization_id for site in sites})
    users = await queries.map_users(session, [site.id for site in sites])
    items = []
    for site in sites:
        shown = users.get(site.id, [])
        if site.organization_id not in run:
            shown = [user_id for user_id in shown if user_id == actor.user_id]
        read = schemas.SiteRead.model_validate(site)
        items.append(read.model_copy(update={"user_ids": shown}))
    return items
