"""Uploads by URL: the wish, and the job that fetches, through the guarded client."""

from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.jobs import JobContext, enqueue, job
from undercroft.foundation.outbound import (
    AnswerTooLarge,
    Outbound,
    OutboundError,
    Rules,
    TargetRefused,
    TooManyRedirects,
)
from undercroft.foundation.problems import Problem, Unavailable
from undercroft.foundation.settings import UploadSettings
from undercroft.storage.blobs import Staged
from undercroft.storage.files import Files
from undercroft.storage.media import queries, service
from undercroft.storage.media.errors import TooManyFetches, UploadUrlRefused
from undercroft.storage.media.models import Media, MediaState
from undercroft.storage.media.schemas import MediaFetch

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
# What another try cannot change.
FINAL = (TargetRefused, AnswerTooLarge, TooManyRedirects)


class NotThere(OutboundError):  # noqa: N818 - what it says
    """The target answered, and not with a file."""

    reason = "not_found"


async def request_fetch(
    session: AsyncSession, rules: Rules, settings: UploadSettings, wish: MediaFetch, *, actor: Actor
) -> Media:
    """Note that a file is to be fetched; a job does it after the commit."""
    owner_id = service.owner_of(actor)
    try:
        rules.check(wish.url)
    except TargetRefused as error:
        raise UploadUrlRefused from error
    await queries.lock_owner(session, owner_id)
    if await queries.count_pending(session, owner_id) >= settings.fetches_per_user:
        raise TooManyFetches(settings.fetches_per_user)
    await service.check_room(session, settings, owner_id)
    media = Media(
        owner_id=owner_id, state=MediaState.PENDING, is_public=wish.public, source_url=wish.url
    )
    session.add(media)
    await session.flush()
    await session.refresh(media)
    await enqueue(session, fetch_media, media_id=media.id)
    return media


@job("storage.fetch_media", max_attempts=MAX_ATTEMPTS)
async def fetch_media(context: JobContext, media_id: UUID) -> None:
    """Fetch a file and keep it; what went wrong is noted where its owner sees it."""
    files: Files = context.services["files"]
    async with context.unit_of_work() as session:
        media = await queries.find_media(session, media_id)
    if media is None or media.state != MediaState.PENDING or media.source_url is None:
        return
    try:
        staged = await _fetch(context, files, media, media.source_url)
        await _keep(context, files, media_id, staged)
    except OutboundError as error:
        final = isinstance(error, (*FINAL, NotThere)) or context.attempt >= MAX_ATTEMPTS
        await _note_failure(context, media_id, error.reason, final=final)
        if not final:
            raise
    except Unavailable:
        if context.attempt >= MAX_ATTEMPTS:
            await _note_failure(context, media_id, Unavailable.code, final=True)
        raise
    except Problem as problem:
        await _note_failure(context, media_id, problem.code, final=True)


async def _fetch(context: JobContext, files: Files, media: Media, url: str) -> Staged:
    outbound: Outbound = context.services["outbound"]
    settings = context.settings.uploads
    async with outbound.send(
        "GET",
        url,
        max_bytes=int(settings.max_bytes),
        timeout=settings.fetch_timeout,
        follow=True,
    ) as answer:
        if answer.status != 200:
            raise NotThere(str(answer.status))
        declared = answer.headers.get("content-type")
        offered = service.Offered(None, declared, answer.chunks())
        return await service.stage(files, settings, offered, public=media.is_public)


async def _keep(context: JobContext, files: Files, media_id: UUID, staged: Staged) -> None:
    """Unless it was deleted meanwhile."""
    async with context.unit_of_work() as session:
        media = await queries.find_media(session, media_id, lock=True)
        if media and media.state == MediaState.PENDING:
            await service.keep(session, files, context.settings.uploads, media, staged)
            return
    await files.discard(staged.blob_id, staged.parts)


async def _note_failure(context: JobContext, media_id: UUID, reason: str, *, final: bool) -> None:
    async with context.unit_of_work() as session:
        media = await queries.find_media(session, media_id, lock=True)
        if media is None:
            return
        media.error = reason
        if final:
            media.state, media.source_url = MediaState.FAILED, None


JOBS = (fetch_media,)
