"""The life of a resumable upload: parts are stored as they come, the last one links them all.

One request writes at a time: it holds a lease that it renews, so that a worker that died keeps
nobody waiting for long, and a request that lost its lease cannot note what it wrote.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.db.failures import told
from undercroft.foundation.ids import new_id
from undercroft.foundation.problems import Problem
from undercroft.storage.backends import BackendDown
from undercroft.storage.blobs import Accepted, Staged, key_of, keys_of, part_key
from undercroft.storage.callers import Caller
from undercroft.storage.encodings import type_inside
from undercroft.storage.errors import UploadExpired
from undercroft.storage.files import Files, Target
from undercroft.storage.models import Upload
from undercroft.storage.objects.permits import permit
from undercroft.storage.refusals import refusals
from undercroft.storage.sniffing import HEAD_BYTES
from undercroft.storage.uploads.protocol import Chunk
from undercroft.storage.wire import Refusal

log = structlog.get_logger()

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 10.0
TAKE = text("""
    UPDATE storage.uploads SET lease = :lease, leased_until = :until
     WHERE id = :id AND (lease IS NULL OR leased_until < :now)
    RETURNING true
""")
RENEW = text("UPDATE storage.uploads SET leased_until = :until WHERE id = :id AND lease = :lease")
LEAVE = text("UPDATE storage.uploads SET lease = NULL WHERE id = :id AND lease = :lease")
NOTE_PART = text("""
    UPDATE storage.uploads
       SET offset_bytes = :offset, parts = CAST(:parts AS jsonb), expires_at = :expires_at
     WHERE id = :id AND lease = :lease RETURNING true
""")
EXTEND = text("""
    UPDATE storage.blobs SET sweep_after = :expires_at
     WHERE id = :blob AND sweep_after IS NOT NULL AND NOT removing
""")
# Bytes that are promised count as used: nobody fills a disk with uploads that never end. Of the
# files that they replace one makes room, that of the newest.
ROOM = text("""
    SELECT undercroft.storage_check_quota(
        CAST(:organization AS uuid),
        (SELECT coalesce(sum(length_bytes), 0)::bigint FROM storage.uploads
          WHERE organization_id = :organization AND offset_bytes < length_bytes
            AND expires_at > now())
        - (SELECT coalesce(sum(size_bytes), 0)::bigint FROM undercroft.storage_files
            WHERE :upsert AND bucket_id = :bucket AND name = :name),
        :quota)
""")
FORGET = text("DELETE FROM storage.uploads WHERE id = :id")


async def begin(
    files: Files, target: Target, length: int, content_type: str | None, described: str
) -> Upload:
    """Note an upload of so many bytes. Raises what `permit` raises."""
    permitted = await permit(files, target, length, content_type)
    upload = Upload(
        id=new_id(),
        bucket_id=target.bucket,
        name=target.name,
        caller=target.caller.name,
        upsert=target.upsert,
        length_bytes=length,
        offset_bytes=0,
        content_type=content_type,
        encoding=target.encoding,
        cache_control=target.cache_control,
        described=described,
        user_metadata=target.user_metadata,
        blob_id=permitted.blob_id,
        parts=[],
        organization_id=permitted.organization_id,
        expires_at=utc_now() + files.settings.resumable_lifetime,
    )
    async with files.database.unit_of_work() as session:
        session.add(upload)
        await session.flush()
        await _extend(session, upload)
        if permitted.organization_id:
            values = {
                "organization": permitted.organization_id,
                "quota": files.default_quota,
                "upsert": target.upsert,
                "bucket": target.bucket,
                "name": target.name,
            }
            with refusals():
                await session.execute(ROOM, values)
    return upload


async def find(files: Files, upload_id: UUID) -> Upload:
    """Raises a `Refusal` for what is unknown or over."""
    async with files.database.unit_of_work() as session:
        upload: Upload | None = await session.get(Upload, upload_id)
    if upload is None or upload.expires_at <= utc_now():
        raise Refusal(404, "NoSuchUpload", "Upload not found")
    return upload


async def append(
    files: Files, upload: Upload, caller: Caller, chunk: Chunk, *, offset: int, first: bool = False
) -> Upload:
    """Store what a request brings from `offset` on; with the last byte the file is there."""
    async with _lease(files, upload) as lease:
        upload = await find(files, upload.id)
        if offset != upload.offset_bytes:
            raise Refusal(409, "TusError", f"Upload-Offset must be {upload.offset_bytes}")
        if offset == upload.length_bytes and not first:
            return upload  # it is a file by now, which may have been replaced since
        if len(upload.parts) >= files.settings.max_upload_pieces:
            raise Refusal(413, "TusError", "Too many pieces: begin anew with larger ones")
        part = secrets.token_hex(8)
        room = upload.length_bytes - offset
        size = await files.blobs.write_part(upload.blob_id, part, chunk.content(), max_bytes=room)
        if chunk.is_broken or not size:
            await files.blobs.backend.delete([part_key(upload.blob_id, part)])
            if chunk.is_broken and not chunk.cut:
                raise Refusal(460, "TusError", "Checksum mismatch")
            if size or room:
                return upload
        if size:
            upload.parts = [*upload.parts, [part, size]]
        upload.offset_bytes = offset + size
        try:
            await _note(files, upload, caller, lease)
        except Problem:  # so nothing was committed
            await files.blobs.backend.delete([part_key(upload.blob_id, part)])
            raise
        if upload.offset_bytes == upload.length_bytes:
            await _tidy(files, upload)
    return upload


async def _tidy(files: Files, upload: Upload) -> None:
    """Remove parts that were never noted, as Postgres was away or a worker died meanwhile."""
    known = keys_of(upload.blob_id, upload.parts)
    backend = files.blobs.backend
    with suppress(BackendDown):  # then the daily comparison does
        found = [entry.key async for entry in backend.entries(key_of(upload.blob_id))]
        await backend.delete(set(found).difference(known))


async def terminate(files: Files, upload: Upload) -> None:
    """Forget an upload and its bytes; a file that it became stays."""
    async with files.database.unit_of_work() as session:
        await session.execute(FORGET, {"id": upload.id})
    if upload.offset_bytes < upload.length_bytes:
        await files.discard(upload.blob_id, [])


async def _note(files: Files, upload: Upload, caller: Caller, lease: UUID) -> None:
    """In one transaction: how far it came, and if that is the end, the file."""
    upload.expires_at = utc_now() + files.settings.resumable_lifetime
    complete = upload.offset_bytes == upload.length_bytes
    staged = await _staged(files, upload) if complete else None
    async with files.database.unit_of_work() as session:
        values = {
            "id": upload.id,
            "lease": lease,
            "offset": upload.offset_bytes,
            "parts": orjson.dumps(upload.parts).decode(),
            "expires_at": upload.expires_at,
        }
        if not await session.scalar(NOTE_PART, values):
            raise UploadExpired
        if staged is not None:
            await files.link_target(session, staged, _target(upload, caller))
        else:
            await _extend(session, upload)


async def _staged(files: Files, upload: Upload) -> Staged:
    """Check the whole against its bucket once more: now its first bytes are known."""
    end = min(HEAD_BYTES, upload.length_bytes)
    pieces = files.blobs.read(upload.blob_id, upload.parts, 0, end)
    head = b"".join([piece async for piece in pieces])
    media_type = type_inside(head, upload.content_type, upload.encoding)
    async with files.database.unit_of_work() as session:
        types: Any = await session.scalar(
            text("SELECT allowed_mime_types FROM storage.buckets WHERE id = :id"),
            {"id": upload.bucket_id},
        )
    Accepted(upload.length_bytes, tuple(types or ())).check_type(media_type, upload.encoding)
    return Staged(upload.blob_id, upload.length_bytes, media_type, upload.parts)


def _target(upload: Upload, caller: Caller) -> Target:
    return Target(
        upload.bucket_id,
        upload.name,
        caller,
        upload.upsert,
        upload.cache_control,
        upload.user_metadata,
        encoding=upload.encoding,
    )


async def _extend(session: AsyncSession, upload: Upload) -> None:
    """The note about the bytes lives as long as their upload."""
    await session.execute(EXTEND, {"blob": upload.blob_id, "expires_at": upload.expires_at})


@asynccontextmanager
async def _lease(files: Files, upload: Upload) -> AsyncIterator[UUID]:
    lease = new_id()
    values = {"id": upload.id, "lease": lease}
    async with files.database.unit_of_work() as session:
        now = utc_now()
        times = {"now": now, "until": now + LEASE}
        if not await session.scalar(TAKE, values | times):
            raise Refusal(423, "ResourceLocked", "Another request writes to this upload")
    renewing = asyncio.create_task(_renew(files, values))
    try:
        yield lease
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        async with files.database.unit_of_work() as session:
            await session.execute(LEAVE, values)


async def _renew(files: Files, values: dict[str, UUID]) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            async with files.database.unit_of_work() as session:
                await session.execute(RENEW, values | {"until": utc_now() + LEASE})
        except Exception as error:  # noqa: BLE001 - the lease lasts for another try
            log.warning("upload_lease_not_renewed", **told(error))
