"""Moving and copying files. No bytes move: rows change, as their caller."""

from dataclasses import replace
from typing import Any

import orjson
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.jobs import publish
from undercroft.storage.blobs import Accepted
from undercroft.storage.callers import Caller, rows_as
from undercroft.storage.desk import Desk
from undercroft.storage.encodings import type_inside
from undercroft.storage.errors import BucketNotFound, FileNotFound, FileRefused
from undercroft.storage.events import ObjectMoved, ObjectUploaded
from undercroft.storage.files import Files
from undercroft.storage.lookup import StoredFile
from undercroft.storage.names import file_name, is_system
from undercroft.storage.objects.incoming import (
    read_cache_control,
    read_encoding,
    read_metadata,
)
from undercroft.storage.objects.reading import find
from undercroft.storage.refusals import refusals
from undercroft.storage.sniffing import HEAD_BYTES
from undercroft.storage.wire import Answer, Request, answer_json

BUCKET = text("""
    SELECT file_size_limit, allowed_mime_types FROM storage.buckets WHERE id = :bucket
""")
MOVE = """
    UPDATE storage.objects SET bucket_id = :to_bucket, name = :to_name
     WHERE id = :id AND bucket_id = :bucket AND name = :name
    RETURNING id, organization_id
"""
MOVED = "id uuid, organization_id uuid"
# Both rows in one order, so that copies that cross each other wait instead of failing. Who is asked
# to wait need not be allowed to write: what is refused ends at once.
HOLD = text("""
    SELECT id, blob_id, metadata FROM storage.objects
     WHERE (bucket_id, name) IN ((:bucket, :name), (:to_bucket, :to_name))
     ORDER BY bucket_id, name FOR UPDATE
""")
WRITE_ROW = text("""
    SELECT undercroft.storage_write_row(
        :role, :claims, :bucket, :name, :upsert, :owner, :owner_id, CAST(:metadata AS jsonb),
        CAST(:user_metadata AS jsonb))
""")
NAME_BYTES = text("""
    UPDATE storage.objects SET blob_id = :blob WHERE bucket_id = :bucket AND name = :name
    RETURNING id, organization_id
""")
QUOTA = text("SELECT undercroft.storage_check_quota(:organization, 0, :default)")


class Transfer(BaseModel):
    bucket_id: str = Field(alias="bucketId")
    source: str = Field(alias="sourceKey")
    destination: str = Field(alias="destinationKey")
    destination_bucket: str | None = Field(None, alias="destinationBucket")
    version: str | None = Field(None, alias="sourceVersionId")

    @property
    def target(self) -> tuple[str, str]:
        bucket = self.destination_bucket or self.bucket_id
        if is_system(bucket) or "\x00" in bucket:
            raise BucketNotFound
        return bucket, file_name(self.destination.lstrip("/"))


class Said(BaseModel):
    """What a copy is said to be where it differs. An empty encoding is none."""

    cache_control: str | None = Field(None, alias="cacheControl")
    encoding: str | None = Field(None, alias="contentEncoding")
    mimetype: str | None = None


class Copying(Transfer):
    keep: bool = Field(default=True, alias="copyMetadata")
    said: Said = Field(Said(), alias="metadata")


async def move(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wanted = await request.json(Transfer)
    bucket, name = wanted.target
    file = await _source(desk, caller, wanted)
    values = _both(file, bucket, name)
    async with desk.files.work() as session:
        await _hold(session, file, values)
        await _check_fit(session, desk.files, file, bucket)
        with refusals():
            moving = values | {"id": file.object_id}
            rows = await rows_as(session, caller, MOVE, moving, columns=MOVED)
            if not rows:
                raise FileRefused
            await _check_quota(session, desk.files, rows[0].organization_id)
        event = ObjectMoved(file.object_id, bucket, name, file.bucket, file.name, by=caller.user_id)
        publish(session, event)
    key = f"{bucket}/{name}"
    return answer_json({"message": "Successfully moved", "Id": file.object_id, "Key": key})


async def copy(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wanted = await request.json(Copying)
    bucket, name = wanted.target
    upsert = request.is_on("x-upsert")
    file = await _source(desk, caller, wanted)
    if not wanted.keep:
        own = read_metadata(request.headers.get("x-metadata"))
        file = replace(await _as_said(desk.files, file, wanted.said), user_metadata=own)
    async with desk.files.work() as session:
        held = await _hold(session, file, _both(file, bucket, name))
        if not wanted.keep:
            held = _told(held, file)
        await _check_fit(session, desk.files, file, bucket, anew=not wanted.keep)
        with refusals():
            row = await _copy_row(session, caller, file, held, (bucket, name), upsert=upsert)
            await _check_quota(session, desk.files, row.organization_id)
        event = ObjectUploaded(
            row.id, bucket, name, file.size_bytes, file.content_type, by=caller.user_id
        )
        publish(session, event)
    return answer_json({"Id": row.id, "Key": f"{bucket}/{name}"})


async def _copy_row(
    session: AsyncSession,
    caller: Caller,
    file: StoredFile,
    metadata: dict[str, Any],
    target: tuple[str, str],
    *,
    upsert: bool,
) -> Any:
    bucket, name = target
    values = {
        "role": caller.role,
        "claims": caller.claims,
        "bucket": bucket,
        "name": name,
        "upsert": upsert,
        "owner": caller.user_id,
        "owner_id": caller.owner_id,
        "metadata": orjson.dumps(metadata).decode(),
        "user_metadata": file.user_metadata and orjson.dumps(file.user_metadata).decode(),
    }
    await session.execute(WRITE_ROW, values)
    named = {"blob": file.blob_id, "bucket": bucket, "name": name}
    return (await session.execute(NAME_BYTES, named)).one()


async def _as_said(files: Files, file: StoredFile, said: Said) -> StoredFile:
    """The file with what is said about its copy. Of its type the content has the last word."""
    encoding = file.encoding if said.encoding is None else read_encoding(said.encoding)
    head = b"".join(
        [piece async for piece in files.read(file, 0, min(HEAD_BYTES, file.size_bytes))]
    )
    cache_control = said.cache_control and read_cache_control(said.cache_control)
    return replace(
        file,
        content_type=type_inside(head, said.mimetype or file.content_type, encoding),
        cache_control=cache_control or file.cache_control,
        encoding=encoding,
    )


def _told(metadata: dict[str, Any], file: StoredFile) -> dict[str, Any]:
    """A row's metadata with what may differ from copy to copy."""
    own = {
        "mimetype": file.content_type,
        "cacheControl": file.cache_control,
        "contentEncoding": file.encoding,
    }
    return {name: value for name, value in (metadata | own).items() if value is not None}


def _both(file: StoredFile, bucket: str, name: str) -> dict[str, Any]:
    return {"bucket": file.bucket, "name": file.name, "to_bucket": bucket, "to_name": name}


async def _hold(session: AsyncSession, file: StoredFile, places: dict[str, str]) -> dict[str, Any]:
    """Keep the file as it was found until the transaction ends; returns its metadata.

    Raises `FileNotFound` for what was moved, replaced or removed since: its limits and the right
    to it were not looked at.
    """
    rows = {row.id: row for row in await session.execute(HOLD, places)}
    held = rows.get(file.object_id)
    if held is None or held.blob_id != file.blob_id:
        raise FileNotFound
    metadata: dict[str, Any] = held.metadata
    return metadata


async def _source(desk: Desk, caller: Caller, wanted: Transfer) -> StoredFile:
    """The file to take, seen as a row: a public bucket lets one read, not move."""
    if is_system(wanted.bucket_id):
        raise FileNotFound
    name = file_name(wanted.source.lstrip("/"))
    return await find(desk, caller, wanted.bucket_id, name, wanted.version)


async def _check_fit(
    session: AsyncSession, files: Files, file: StoredFile, bucket: str, *, anew: bool = False
) -> None:
    """The bucket that a file comes to sets its limits anew."""
    row = (await session.execute(BUCKET, {"bucket": bucket})).one_or_none()
    if row is None:
        raise BucketNotFound
    most = min(row.file_size_limit or 2**62, int(files.settings.max_object_bytes))
    accepted = Accepted(most, tuple(row.allowed_mime_types or ()))
    if anew or bucket != file.bucket:
        accepted.check_size(file.size_bytes)
        accepted.check_type(file.content_type, file.encoding)


async def _check_quota(session: AsyncSession, files: Files, organization: Any) -> None:
    values = {"organization": organization, "default": files.default_quota}
    await session.execute(QUOTA, values)
