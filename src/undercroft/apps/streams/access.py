"""Doors to streams: whoever may not see the site does not see its streams."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft import (
    Actor,
    CurrentActor,
    OrganizationRole,
    Permission,
    Session,
    find_role,
)
from undercroft.apps.sites import LoadSite, Need, Site, SiteNotFound
from undercroft.apps.streams import queries
from undercroft.apps.streams.errors import StreamNotFound
from undercroft.apps.streams.models import Stream

EVERYBODY = ("user",)
PERMISSIONS = (
    Permission("streams:read", "See the streams of the sites that one sees.", EVERYBODY),
    Permission(
        "streams:manage", "Add, change and delete streams of sites that one runs.", EVERYBODY
    ),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A stream, its site, and whether the caller is shown the password in its URL."""

    stream: Stream
    site: Site
    sees_password: bool


class LoadStream:
    def __init__(self, need: Need, *, lock: bool = False) -> None:
        self._load_site = LoadSite(need, lock=lock)
        self._lock = lock

    async def __call__(self, stream_id: UUID, session: Session, actor: CurrentActor) -> Found:
        stream = await queries.get_stream(session, stream_id)
        try:
            site = await self._load_site(stream.site_id, session, actor)
        except SiteNotFound as error:
            raise StreamNotFound from error
        if self._lock:
            stream = await queries.get_stream(session, stream_id, lock=True)
        return Found(stream, site, await sees_passwords(session, site, actor))


async def sees_passwords(session: Session, site: Site, actor: Actor) -> bool:
    """Detectors come with a key and must connect; people must run the site."""
    if actor.api_key_id is not None or actor.has("organizations:manage"):
        return True
    role = await find_role(session, site.organization_id, actor)
    return role is not None and role.reaches(OrganizationRole.ADMIN)


StreamToRead = Annotated[Found, Depends(LoadStream(Need.SEE))]
StreamToChange = Annotated[Found, Depends(LoadStream(Need.RUN, lock=True))]
SiteToAddTo = Annotated[Site, Depends(LoadSite(Need.RUN, lock=True))]
