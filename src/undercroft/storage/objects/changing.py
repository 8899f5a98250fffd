"""Moving, copying and removing files. No bytes move: rows change, as their caller."""

from typing import Any

import orjson
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.jobs import publish
from undercroft.storage.blobs import Accepted
from undercroft.storage.callers import Caller, rows_as
from undercroft.storage.desk import Desk
from undercroft.storage.errors import BucketNotFound, FileNotFound, FileRefused
from undercroft.storage.events import ObjectMoved, ObjectRemoved, ObjectUploaded
from undercroft.storage.files import Files
from undercroft.storage.lookup import StoredFile
from undercroft.storage.names import file_name, is_system
from undercroft.storage.objects.reading import find, place
from undercroft.storage.refusals import refusals
from undercroft.storage.wire import Answer, Request, answer_json

REMOVE = """
    DELETE FROM storage.objects WHERE bucket_id = :bucket AND name = ANY(:names)
    RETURNING id, bucket_id, name, owner, owner_id, version, metadata, user_metadata, created_at,
              updated_at, last_accessed_at
"""
REMOVED = """
    id uuid, bucket_id text, name text, owner uuid, owner_id text, version text, metadata jsonb,
    user_metadata jsonb, created_at timestamptz, updated_at timestamptz,
    last_accessed_at timestamptz
"""
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
MOST_NAMES = 1000


class Transfer(BaseModel):
    bucket_id: str = Field(alias="bucketId")
    source: str = Field(alias="sourceKey")
    destination: str = Field(alias="destinationKey")
    destination_bucket: str | None = Field(None, alias="destinationBucket")

    @property
    def target(self) -> tuple[str, str]:
        bucket = self.destination_bucket or self.bucket_id
        if is_system(bucket) or "\x00" in bucket:
            raise BucketNotFound
        return bucket, file_name(self.destination.lstrip("/"))


class Removal(BaseModel):
    prefixes: list[str] = Field(max_length=MOST_NAMES)


async def move(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wanted = await request.json(Transfer)
    bucket, name = wanted.target
    file = await _source(desk, caller, wanted)
    values = _both(file, bucket, name)
    async with desk.files.database.unit_of_work() as session:
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
    wanted = await request.json(Transfer)
    bucket, name = wanted.target
    upsert = request.is_on("x-upsert")
    file = await _source(desk, caller, wanted)
    async with desk.files.database.unit_of_work() as session:
        held = await _hold(session, file, _both(file, bucket, name))
        await _check_fit(session, desk.files, file, bucket)
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
    return await find(desk, caller, wanted.bucket_id, name)


async def _check_fit(session: AsyncSession, files: Files, file: StoredFile, bucket: str) -> None:
    """The bucket that a file comes to sets its limits anew."""
    row = (await session.execute(BUCKET, {"bucket": bucket})).one_or_none()
    if row is None:
        raise BucketNotFound
    most = min(row.file_size_limit or 2**62, int(files.settings.max_object_bytes))
    accepted = Accepted(most, tuple(row.allowed_mime_types or ()))
    if bucket != file.bucket:
        accepted.check_size(file.size_bytes)
        accepted.check_type(file.content_type)


async def _check_quota(session: AsyncSession, files: Files, organization: Any) -> None:
    values = {"organization": organization, "default": files.default_quota}
    await session.execute(QUOTA, values)


async def remove(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    bucket, name = place(request, 1)
    if not await _remove(desk.files, caller, bucket, [name]):
        await find(desk, caller, bucket, name)
        raise FileRefused
    return answer_json({"message": "Successfully deleted"})


async def remove_many(desk: Desk, request: Request) -> Answer:
    """Remove those that the caller may remove, and say which they were."""
    caller = await request.caller()
    wanted = await request.json(Removal)
    names = [file_name(name.lstrip("/")) for name in wanted.prefixes]
    return answer_json(await _remove(desk.files, caller, request.path[1], names))


async def _remove(
    files: Files, caller: Caller, bucket: str, names: list[str]
) -> list[dict[str, Any]]:
    if is_system(bucket) or "\x00" in bucket:
        raise BucketNotFound
    async with files.database.unit_of_work() as session:
        with refusals():
            values = {"bucket": bucket, "names": names}
            rows = await rows_as(session, caller, REMOVE, values, columns=REMOVED)
        for row in rows:
            publish(session, ObjectRemoved(row.id, bucket, row.name, by=caller.user_id))
    return [row._asdict() for row in rows]
