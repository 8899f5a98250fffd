"""Where the images of violations are kept, and how they come in."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from undercroft import SystemBucket
from undercroft.apps.sites.models import Site, Violation

IMAGES = SystemBucket(
    "_violations", max_bytes=10_000_000, types=("image/jpeg", "image/png", "image/webp")
)


def name_of(site: Site, violation: Violation) -> str:
    return f"{site.organization_id}/{site.id}/{violation.id}"


async def _whole_body(request: Request) -> bytes:
    return await request.body()


# First among a handler's parameters: a slow sender must not hold a transaction open.
ImageBody = Annotated[bytes, Depends(_whole_body)]


async def in_one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content
