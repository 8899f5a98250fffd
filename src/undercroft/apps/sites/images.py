"""Where the images of violations are kept, and how they come in."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from undercroft import CurrentActor, FilesParts, Parts, StagedFile, SystemBucket
from undercroft.apps.sites import queries
from undercroft.apps.sites.access import LoadSite, Need
from undercroft.apps.sites.errors import ImageMissing
from undercroft.apps.sites.models import Site, Violation

IMAGES = SystemBucket(
    "_violations", max_bytes=10_000_000, types=("image/jpeg", "image/png", "image/webp")
)


def name_of(site: Site, violation: Violation) -> str:
    return f"{site.organization_id}/{site.id}/{violation.id}"


async def _stage(
    site_id: UUID,
    violation_id: UUID,
    request: Request,
    actor: CurrentActor,
    parts: Parts,
    files: FilesParts,
) -> StagedFile:
    """Read and kept before the request's transaction has sent a statement.

    While it holds a connection it must wait neither for a slow sender nor for the connection that
    staging needs: many at once would wait for each other.
    """
    async with parts.database.unit_of_work() as session:
        site = await LoadSite(Need.SEE)(site_id, session, actor)
        await queries.get_violation(session, site.id, violation_id)
    content = await request.body()
    if not content:
        raise ImageMissing
    declared_type = request.headers.get("content-type")
    return await files.stage(_in_one_piece(content), bucket=IMAGES, declared_type=declared_type)


# First among a handler's parameters.
StagedImage = Annotated[StagedFile, Depends(_stage)]


async def _in_one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content
