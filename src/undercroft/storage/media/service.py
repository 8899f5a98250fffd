"""The verbs on the files of accounts."""

import mimetypes
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor, UsersOnly
from undercroft.foundation.crypto import new_secret
from undercroft.foundation.jobs import publish
from undercroft.foundation.problems import Problem
from undercroft.foundation.settings import Settings, UploadSettings
from undercroft.storage.blobs import Staged
from undercroft.storage.files import Files, SystemBucket
from undercroft.storage.media import queries
from undercroft.storage.media.errors import (
    MediaNotFound,
    UploadEmpty,
    UploadsFull,
)
from undercroft.storage.media.events import MediaDeleted, MediaUploaded
from undercroft.storage.media.models import Media, MediaState
from undercroft.storage.media.schemas import MediaRead, MediaUsage
from undercroft.storage.media.signatures import Remembering, check_signature
from undercroft.storage.sniffing import base_type

PUBLIC, PRIVATE = "_media", "_private_media"
MANAGE = "uploads:manage"
# Where the storage plane serves files of public buckets.
PUBLIC_PATH = "/storage/v1/object/public"


@dataclass(frozen=True, slots=True)
class Offered:
    """Bytes that somebody wants to keep, with what they say about them."""

    name: str | None
    declared_type: str | None
    chunks: AsyncIterator[bytes]


def bucket_of(settings: UploadSettings, *, public: bool) -> SystemBucket:
    return SystemBucket(
        PUBLIC if public else PRIVATE,
        public=public,
        max_bytes=int(settings.max_bytes),
        types=settings.types,
    )


def public_url(settings: Settings, bucket: str, name: str) -> str:
    return f"{settings.http.public_base}{PUBLIC_PATH}/{bucket}/{name}"


def owner_of(actor: Actor) -> UUID:
    """Raises `UsersOnly`: a key has no account to keep files for."""
    if actor.user_id is None:
        raise UsersOnly
    return actor.user_id


async def add(
    session: AsyncSession, files: Files, settings: UploadSettings, media: Media, staged: Staged
) -> Media:
    """Keep a new file. Raises `UploadsFull` and `UploadEmpty`."""
    await keep(session, files, settings, media, staged)
    session.add(media)
    await session.flush()
    await session.refresh(media)
    return media


async def stage(
    files: Files, settings: UploadSettings, offered: Offered, *, public: bool
) -> Staged:
    """Store bytes that nobody sees yet, if they are what they seem. Raises what storage refuses."""
    bucket = bucket_of(settings, public=public)
    chunks = Remembering(offered.chunks)
    staged = await files.stage(chunks, bucket=bucket, declared_type=offered.declared_type)
    try:
        check_signature(staged, chunks.head)
    except Problem:
        await files.discard(staged.blob_id, staged.parts)
        raise
    return staged


async def keep(
    session: AsyncSession, files: Files, settings: UploadSettings, media: Media, staged: Staged
) -> None:
    """Make staged bytes the content of `media`; discards them where its owner has no room."""
    try:
        await _check_fits(session, settings, media, staged)
    except Problem:
        await files.discard(staged.blob_id, staged.parts)
        raise
    bucket = bucket_of(settings, public=media.is_public)
    name = f"{media.owner_id}/{new_secret(24)}{_ending(staged.content_type)}"
    await files.link(session, staged, bucket=bucket, name=name, owner=media.owner_id)
    media.state, media.object_name = MediaState.STORED, name
    media.content_type, media.size_bytes = staged.content_type, staged.size_bytes
    media.source_url = None
    event = MediaUploaded(media.id, media.owner_id, staged.content_type, staged.size_bytes)
    publish(session, event)


async def _check_fits(
    session: AsyncSession, settings: UploadSettings, media: Media, staged: Staged
) -> None:
    if not staged.size_bytes:
        raise UploadEmpty
    await queries.lock_owner(session, media.owner_id)
    # One that was pending is counted already.
    new = 0 if media.state == MediaState.PENDING else 1
    await check_room(session, settings, media.owner_id, files=new, size_bytes=staged.size_bytes)


async def check_room(
    session: AsyncSession,
    settings: UploadSettings,
    owner_id: UUID,
    *,
    files: int = 1,
    size_bytes: int = 1,
) -> None:
    """Raises `UploadsFull`."""
    kept, used = await queries.usage_of(session, owner_id)
    most = int(settings.quota_per_user)
    if kept + files > settings.files_per_user or used + size_bytes > most:
        raise UploadsFull(settings.files_per_user, most)


async def delete_media(
    session: AsyncSession, files: Files, settings: UploadSettings, media: Media, *, actor: Actor
) -> None:
    """The file is gone with the commit, its bytes soon after."""
    if media.object_name:
        bucket = bucket_of(settings, public=media.is_public)
        await files.delete(session, bucket=bucket, names=[media.object_name])
    await session.delete(media)
    await session.flush()
    publish(session, MediaDeleted(media.id, media.owner_id, by=actor.user_id))


def check_owner(media: Media, actor: Actor) -> None:
    """Raises `MediaNotFound` for those of others, unless one manages all."""
    if media.owner_id != actor.user_id and not actor.has(MANAGE):
        raise MediaNotFound


def read(media: Media, settings: Settings) -> MediaRead:
    url = None
    if media.is_public and media.object_name:
        url = public_url(settings, PUBLIC, media.object_name)
    return MediaRead(
        id=media.id,
        owner_id=media.owner_id,
        state=MediaState(media.state).value,
        name=media.name,
        content_type=media.content_type,
        size_bytes=media.size_bytes,
        public=media.is_public,
        url=url,
        error=media.error,
        created_at=media.created_at,
    )


async def read_usage(session: AsyncSession, settings: UploadSettings, owner_id: UUID) -> MediaUsage:
    kept, used = await queries.usage_of(session, owner_id)
    return MediaUsage(
        files=kept,
        used_bytes=used,
        max_files=settings.files_per_user,
        max_bytes=int(settings.quota_per_user),
    )


def _ending(content_type: str) -> str:
    """By what the content is: the sender's own ending may lie."""
    return mimetypes.guess_extension(base_type(content_type)) or ""
