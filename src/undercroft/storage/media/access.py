"""Doors to the files of accounts: your own, or anybody's for who manages uploads."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft.foundation.http import CurrentActor, Parts, Session
from undercroft.foundation.outbound import Rules
from undercroft.foundation.settings import UploadSettings
from undercroft.storage.media import queries, service
from undercroft.storage.media.models import Media


async def _media(file_id: UUID, session: Session, actor: CurrentActor) -> Media:
    media = await queries.get_media(session, file_id)
    service.check_owner(media, actor)
    return media


async def _media_to_delete(file_id: UUID, session: Session, actor: CurrentActor) -> Media:
    media = await queries.get_media(session, file_id, lock=True)
    service.check_owner(media, actor)
    return media


async def _limits(parts: Parts) -> UploadSettings:
    return parts.settings.uploads


async def _rules(parts: Parts) -> Rules:
    return Rules(parts.settings.outbound)


MediaToRead = Annotated[Media, Depends(_media)]
MediaToDelete = Annotated[Media, Depends(_media_to_delete)]
Limits = Annotated[UploadSettings, Depends(_limits)]
TargetRules = Annotated[Rules, Depends(_rules)]
