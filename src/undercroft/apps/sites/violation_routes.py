"""`/sites/{site_id}/violations` and their images."""

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from undercroft import (
    CurrentActor,
    FilesParts,
    FileTooLarge,
    FileTypeRefused,
    Moment,
    Needs,
    Page,
    PageRequest,
    QuotaExceeded,
    RoleTooLow,
    Router,
    Session,
    sorted_by,
)
from undercroft.apps.sites import queries, schemas, service
from undercroft.apps.sites.access import (
    SiteToRead,
    SiteToRun,
    ViolationToChange,
    ViolationToRead,
)
from undercroft.apps.sites.errors import (
    ImageMissing,
    ImageNotFound,
    SiteNotFound,
    ViolationNotFound,
)
from undercroft.apps.sites.images import IMAGES, StagedImage, name_of
from undercroft.apps.sites.models import Violation

router = Router("/sites", tag="sites")

NOT_THERE = (SiteNotFound, ViolationNotFound)
BINARY = {"schema": {"type": "string", "format": "binary"}}
PICTURE = {"content": dict.fromkeys(IMAGES.types, BINARY)}


@router.get("/{site_id}/violations", access=Needs("violations:read"), problems=(SiteNotFound,))
async def list_violations(
    site: SiteToRead,
    session: Session,
    page: Annotated[PageRequest, sorted_by("detected_at")],
    stream_name: Annotated[str | None, Query(max_length=80)] = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Page[schemas.ViolationRead]:
    """What was seen at a site, the newest first."""
    found, cursor, total = await queries.list_violations(
        session, site.id, page, stream_name=stream_name, since=since, until=until
    )
    items = [_read(violation) for violation in found]
    return Page[schemas.ViolationRead](items=items, next_cursor=cursor, total=total)


@router.post(
    "/{site_id}/violations",
    access=Needs("violations:create"),
    status_code=201,
    problems=(SiteNotFound,),
)
async def report_violation(
    new: schemas.ViolationCreate, site: SiteToRead, session: Session, actor: CurrentActor
) -> schemas.ViolationRead:
    """Report a violation, as a user or a key of the organization. Its image comes after it."""
    return _read(await service.report_violation(session, site, new.model_dump(), actor=actor))


@router.delete(
    "/{site_id}/violations",
    access=Needs("violations:delete"),
    problems=(SiteNotFound, RoleTooLow),
)
async def delete_violations(
    site: SiteToRun,
    session: Session,
    actor: CurrentActor,
    before: Moment | None = None,
) -> schemas.Deleted:
    """Delete the violations of a site that you run, or those older than `before`."""
    count = await service.delete_violations(session, site, before, actor=actor)
    return schemas.Deleted(deleted=count)


@router.get(
    "/{site_id}/violations/{violation_id}", access=Needs("violations:read"), problems=NOT_THERE
)
async def get_violation(violation: ViolationToRead) -> schemas.ViolationRead:
    """One violation."""
    return _read(violation)


@router.delete(
    "/{site_id}/violations/{violation_id}",
    access=Needs("violations:delete"),
    status_code=204,
    problems=(*NOT_THERE, RoleTooLow),
)
async def delete_violation(
    site: SiteToRun, violation: ViolationToChange, session: Session, actor: CurrentActor
) -> None:
    """Delete a violation and its image, at a site that you run."""
    await service.delete_violation(session, site, violation, actor=actor)


@router.put(
    "/{site_id}/violations/{violation_id}/image",
    access=Needs("violations:create"),
    problems=(*NOT_THERE, ImageMissing, FileTooLarge, FileTypeRefused, QuotaExceeded),
    openapi={"requestBody": {"required": True, **PICTURE}},
)
async def put_violation_image(
    staged: StagedImage,
    site: SiteToRead,
    violation: ViolationToChange,
    session: Session,
    files: FilesParts,
) -> schemas.ViolationRead:
    """Send the image as the body: JPEG, PNG or WebP, found out from the bytes. Replaces one."""
    name = name_of(site, violation)
    await files.link(
        session, staged, bucket=IMAGES, name=name, organization_id=site.organization_id
    )
    violation.image = name
    await session.flush()
    return _read(violation)


@router.get(
    "/{site_id}/violations/{violation_id}/image",
    access=Needs("violations:read"),
    response_class=Response,
    problems=(*NOT_THERE, ImageNotFound),
)
async def get_violation_image(
    violation: ViolationToRead, request: Request, files: FilesParts
) -> Response:
    """The image itself."""
    found = await files.find(bucket=IMAGES, name=violation.image) if violation.image else None
    if found is None:
        raise ImageNotFound
    headers = {"ETag": found.etag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(found.size_bytes)
    return StreamingResponse(files.read(found), media_type=found.content_type, headers=headers)


def _read(violation: Violation) -> schemas.ViolationRead:
    values = {
        name: getattr(violation, name)
        for name in schemas.ViolationRead.model_fields
        if name != "has_image"
    }
    return schemas.ViolationRead(has_image=violation.image is not None, **values)
