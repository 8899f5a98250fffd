"""Removing files: rows go, as their caller; a trigger has the bytes swept."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from undercroft.foundation.jobs import publish
from undercroft.storage.callers import Caller, rows_as
from undercroft.storage.desk import Desk
from undercroft.storage.errors import BucketNotFound, FileRefused
from undercroft.storage.events import ObjectRemoved
from undercroft.storage.files import Files
from undercroft.storage.names import file_name, is_system
from undercroft.storage.objects.preconditions import Precondition
from undercroft.storage.objects.reading import find, place
from undercroft.storage.refusals import refusals
from undercroft.storage.wire import Answer, Request, answer_json

REMOVE = """
    DELETE FROM storage.objects
     WHERE bucket_id = :bucket AND name = ANY(:names)
       AND (name = ANY(:whatever) OR version || name = ANY(:versions))
    RETURNING id, bucket_id, name, owner, owner_id, version, metadata, user_metadata, created_at,
              updated_at, last_accessed_at
"""
REMOVED = """
    id uuid, bucket_id text, name text, owner uuid, owner_id text, version text, metadata jsonb,
    user_metadata jsonb, created_at timestamptz, updated_at timestamptz,
    last_accessed_at timestamptz
"""
MOST_NAMES = 1000


class Version(BaseModel):
    path: str
    version: UUID = Field(alias="versionId")


class Removal(BaseModel):
    prefixes: list[str | Version] = Field(max_length=MOST_NAMES)

    @property
    def entries(self) -> list[tuple[str, str | None]]:
        found = self.prefixes
        return [(e, None) if isinstance(e, str) else (e.path, str(e.version)) for e in found]


async def remove(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    bucket, name = place(request, 1)
    condition = Precondition.of(request.headers)
    if condition:  # who may not see the file is told nothing of it
        await find(desk, caller, bucket, name)
    named = {name: request.query.get("versionId")}
    if not await _remove(desk.files, caller, bucket, named, condition):
        await find(desk, caller, bucket, name)
        raise FileRefused
    return answer_json({"message": "Successfully deleted"})


async def remove_many(desk: Desk, request: Request) -> Answer:
    """Remove those that the caller may remove, and say which they were."""
    caller = await request.caller()
    wanted = await request.json(Removal)
    names = {file_name(path.lstrip("/")): version for path, version in wanted.entries}
    return answer_json(await _remove(desk.files, caller, request.path[1], names))


async def _remove(
    files: Files,
    caller: Caller,
    bucket: str,
    names: dict[str, str | None],
    condition: Precondition | None = None,
) -> list[dict[str, Any]]:
    """Remove these, each in the version that is given with it or in whichever it has."""
    if is_system(bucket) or "\x00" in bucket:
        raise BucketNotFound
    values = {
        "bucket": bucket,
        "names": list(names),
        "whatever": [name for name, version in names.items() if version is None],
        "versions": [version + name for name, version in names.items() if version is not None],
    }
    async with files.work() as session:
        if condition:
            for name in names:
                await condition.check(session, bucket, name)
        with refusals():
            rows = await rows_as(session, caller, REMOVE, values, columns=REMOVED)
        for row in rows:
            publish(session, ObjectRemoved(row.id, bucket, row.name, by=caller.user_id))
    return [row._asdict() for row in rows]
