"""Uploads in one request. Who may not is told before the body is read."""

import asyncio
from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from undercroft.foundation.access import Role
from undercroft.foundation.ids import new_id
from undercroft.storage.blobs import Accepted
from undercroft.storage.callers import Caller
from undercroft.storage.desk import Desk
from undercroft.storage.errors import BucketNotFound
from undercroft.storage.files import Files, Target
from undercroft.storage.links import UPLOAD
from undercroft.storage.names import is_system
from undercroft.storage.objects.incoming import open_incoming
from undercroft.storage.objects.reading import place
from undercroft.storage.refusals import refusals
from undercroft.storage.wire import Answer, Request, answer_json

BEGIN = """
    SELECT * FROM undercroft.storage_begin(
        $1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10, $11, $12, $13)
"""


@dataclass(frozen=True, slots=True)
class Permitted:
    """What was settled before the first byte."""

    blob_id: UUID
    accepted: Accepted
    organization_id: UUID | None


async def upload(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    bucket, name = place(request, 1)
    upsert = request.method == "PUT" or request.is_on("x-upsert")
    return await _upload(desk, request, Target(bucket, name, caller, upsert))


async def upload_signed(desk: Desk, request: Request) -> Answer:
    """With a token for just this name; whoever signed it owns the file."""
    bucket, name = place(request, 3)
    link = desk.links.read(request.query.get("token"), UPLOAD, bucket, name)
    caller = signers_caller(link.owner)
    return await _upload(desk, request, Target(bucket, link.name, caller, link.upsert))


def signers_caller(owner: UUID | None) -> Caller:
    """Rights were checked when the link was signed; the claims name who did."""
    claims = {"role": Role.SERVICE.value} | ({"sub": str(owner)} if owner else {})
    return Caller(Role.SERVICE.value, orjson.dumps(claims).decode(), f"link:{owner}", owner)


async def _upload(desk: Desk, request: Request, target: Target) -> Answer:
    files = desk.files
    incoming = open_incoming(request)
    permitted = await permit(files, target, incoming.size_bytes, incoming.declared_type)
    try:
        await incoming.begin()
        staged = await files.blobs.write(
            permitted.blob_id,
            incoming.content(),
            declared_type=incoming.declared_type,
            accepted=permitted.accepted,
        )
        target = replace(
            target, cache_control=incoming.cache_control, user_metadata=incoming.user_metadata
        )
        async with files.database.unit_of_work() as session:
            object_id = await files.link_target(session, staged, target)
    except BaseException:
        await asyncio.shield(files.discard(permitted.blob_id))
        raise
    return answer_json({"Id": object_id, "Key": f"{target.bucket}/{target.name}"})


async def permit(
    files: Files,
    target: Target,
    size_bytes: int | None,
    declared_type: str | None,
    *,
    blob_id: UUID | None = None,
) -> Permitted:
    """Try the caller's right to the row out, ask for room, note that bytes are about to come.

    Raises `FileRefused`, `FileExists`, `BucketNotFound`, `QuotaExceeded`, `FileTooLarge`.
    """
    if is_system(target.bucket) or "\x00" in target.bucket:
        raise BucketNotFound
    blob_id = blob_id or new_id()
    expected = {"mimetype": declared_type, "size": size_bytes, "contentLength": size_bytes}
    values = target.values
    with refusals():
        row = await files.lookup.fetchrow(
            BEGIN,
            values["role"],
            values["claims"],
            target.bucket,
            target.name,
            target.upsert,
            values["owner"],
            values["owner_id"],
            orjson.dumps(expected).decode(),
            values["user_metadata"],
            blob_id,
            size_bytes,
            files.default_quota,
            files.staged_until(),
        )
    assert row is not None
    most = min(row["file_size_limit"] or 2**62, int(files.settings.max_object_bytes))
    accepted = Accepted(most, tuple(row["allowed_mime_types"] or ()))
    try:
        accepted.check_size(size_bytes or 0)
    except BaseException:
        await files.discard(blob_id)
        raise
    return Permitted(blob_id, accepted, row["organization_id"])
