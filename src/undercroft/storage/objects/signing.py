"""Making and ending signed URLs. Signing takes the right to what the URL will give."""

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import text

from undercroft.storage.callers import Caller, rows_as
from undercroft.storage.desk import Desk
from undercroft.storage.errors import (
    BucketNotFound,
    FileNameInvalid,
    FileNotFound,
    FileRefused,
)
from undercroft.storage.files import Target
from undercroft.storage.images.wishes import wish_of
from undercroft.storage.links import DOWNLOAD, UPLOAD, Link, path_in_url
from undercroft.storage.lookup import StoredFile
from undercroft.storage.names import file_name, is_system
from undercroft.storage.objects.permits import permit
from undercroft.storage.objects.reading import find, place
from undercroft.storage.refusals import refusals
from undercroft.storage.wire import Answer, Request, answer_json

# The caller's right to change the row is tried out; what counts up is not theirs to write.
TRY_FILE = """
    UPDATE storage.objects SET last_accessed_at = last_accessed_at
     WHERE bucket_id = :bucket AND name = :name RETURNING id
"""
TRY_BUCKET = """
    UPDATE storage.buckets SET updated_at = updated_at WHERE id = :bucket RETURNING id
"""
END_FILES = text("UPDATE storage.objects SET links_version = links_version + 1 WHERE id = :id")
END_BUCKETS = text("UPDATE storage.buckets SET links_version = links_version + 1 WHERE id = :id")


class SignOne(BaseModel):
    expires_in: int = Field(alias="expiresIn", gt=0)
    transform: dict[str, Any] | None = None
    version: str | None = Field(None, alias="versionId")


class SignMany(BaseModel):
    expires_in: int = Field(alias="expiresIn", gt=0)
    paths: list[str] = Field(max_length=1000)


async def sign_one(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wanted = await request.json(SignOne)
    bucket, name = place(request, 2)
    file = await find(desk, caller, bucket, name, wanted.version)
    transform = None
    if wanted.transform:
        transform = {key: str(value) for key, value in wanted.transform.items()}
        wish_of(transform, desk.settings.storage)  # refused now rather than when it is used
    return answer_json({"signedURL": _signed(desk, file, wanted.expires_in, transform)})


async def sign_many(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wanted = await request.json(SignMany)
    bucket = request.path[2]
    signed = []
    for path in wanted.paths:
        entry: dict[str, Any] = {"error": None, "path": path, "signedURL": None}
        try:
            file = await find(desk, caller, bucket, file_name(path.lstrip("/")))
            entry["signedURL"] = _signed(desk, file, wanted.expires_in, None)
        except (FileNotFound, FileNameInvalid):
            entry["error"] = "Either the object does not exist or you do not have access to it"
        signed.append(entry)
    return answer_json(signed)


def _signed(desk: Desk, file: StoredFile, expires_in: int, transform: dict[str, str] | None) -> str:
    link = Link(
        DOWNLOAD, file.bucket, file.name, str(file.object_id), file.links, transform or None
    )
    # As far as a number of seconds can be a time span at all.
    token = desk.links.sign(link, timedelta(seconds=min(expires_in, 10**10)))
    area = "render/image/sign" if transform else "object/sign"
    return f"/{area}/{file.bucket}/{path_in_url(file.name)}?token={token}"


async def sign_upload(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    bucket, name = place(request, 3)
    upsert = request.is_on("x-upsert")
    target = Target(bucket, name, caller, upsert)
    permitted = await permit(desk.files, target, None, None)
    await desk.files.discard(permitted.blob_id)
    link = Link(UPLOAD, bucket, name, upsert=upsert, owner=caller.user_id)
    token = desk.links.sign(link, desk.settings.storage.signed_upload_lifetime)
    url = f"/object/upload/sign/{bucket}/{path_in_url(name)}?token={token}"
    return answer_json({"url": url, "token": token})


async def revoke(desk: Desk, request: Request) -> Answer:
    """End every signed URL of a file, or of all files of a bucket."""
    caller = await request.caller()
    bucket, segments = request.path[2], request.path[3:]
    if is_system(bucket) or "\x00" in bucket:
        raise BucketNotFound
    if segments:
        name = file_name("/".join(segments))
        await find(desk, caller, bucket, name)
        await _end(desk, caller, (TRY_FILE, "id uuid", {"bucket": bucket, "name": name}), END_FILES)
    else:
        await _end(desk, caller, (TRY_BUCKET, "id text", {"bucket": bucket}), END_BUCKETS)
    return answer_json({"message": "Successfully revoked"})


async def _end(
    desk: Desk, caller: Caller, attempt: tuple[str, str, dict[str, str]], end: Any
) -> None:
    statement, columns, values = attempt
    async with desk.files.work() as session:
        with refusals():
            found = await rows_as(session, caller, statement, values, columns=columns)
        if not found:
            raise FileRefused
        await session.execute(end, {"id": found[0].id})
