"""The verbs on buckets. Row security on `storage.buckets` decides, as the caller."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.jobs import publish
from undercroft.storage.callers import Caller, count_as, rows_as
from undercroft.storage.errors import BucketNotFound, FileRefused
from undercroft.storage.events import BucketCreated, BucketDeleted, BucketEmptied, BucketUpdated
from undercroft.storage.files import Files
from undercroft.storage.names import is_system
from undercroft.storage.refusals import refusals
from undercroft.storage.wire import Refusal

COLUMNS = """
    id, name, coalesce(owner::text, '') AS owner, owner_id, public, type, file_size_limit,
    allowed_mime_types, organization_id, created_at, updated_at
"""
COLUMN_TYPES = """
    id text, name text, owner text, owner_id text, public boolean, type text,
    file_size_limit bigint, allowed_mime_types text[], organization_id uuid,
    created_at timestamptz, updated_at timestamptz
"""
LIST = """
    SELECT {columns} FROM storage.buckets
     WHERE id NOT LIKE '\\_%' AND position(lower(:search) in lower(id)) > 0
     ORDER BY {column} {order}, id LIMIT :limit OFFSET :offset
"""
GET = f"SELECT {COLUMNS} FROM storage.buckets WHERE id = :id"  # noqa: S608 - our constant
INSERT = """
    INSERT INTO storage.buckets (id, name, owner, owner_id, public, file_size_limit,
                                 allowed_mime_types, organization_id)
    VALUES (:id, :id, :owner, :owner_id, :public, :file_size_limit, :types, :organization_id)
"""
# Evaluated as the caller: nobody fills another organization's quota.
IS_MEMBER = "SELECT WHERE CAST(:id AS uuid) IN (SELECT auth.orgs())"
LOCK = text("SELECT id FROM storage.buckets WHERE id = :id FOR UPDATE")
HOLDS_FILES = text("SELECT EXISTS (SELECT FROM storage.objects WHERE bucket_id = :id)")
DELETE = "DELETE FROM storage.buckets WHERE id = :id"
EMPTY = "DELETE FROM storage.objects WHERE bucket_id = :id"


@dataclass(frozen=True, slots=True)
class BucketPage:
    limit: int
    offset: int
    search: str
    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class NewBucket:
    name: str
    public: bool = False
    file_size_limit: int | None = None
    types: list[str] | None = None
    organization_id: UUID | None = None


async def list_buckets(files: Files, caller: Caller, page: BucketPage) -> list[dict[str, Any]]:
    order = "DESC" if page.descending else "ASC"
    statement = LIST.format(columns=COLUMNS, column=page.column, order=order)
    values = {"search": page.search, "limit": page.limit, "offset": page.offset}
    async with files.database.unit_of_work() as session:
        rows = await rows_as(session, caller, statement, values, columns=COLUMN_TYPES)
    return [row._asdict() for row in rows]


async def get_bucket(files: Files, caller: Caller, name: str) -> dict[str, Any]:
    async with files.database.unit_of_work() as session:
        return await _see(session, caller, name)


async def create_bucket(files: Files, caller: Caller, new: NewBucket) -> None:
    values = {
        "id": new.name,
        "owner": caller.user_id,
        "owner_id": caller.owner_id,
        "public": new.public,
        "file_size_limit": new.file_size_limit or None,
        "types": new.types,
        "organization_id": new.organization_id,
    }
    async with files.work() as session:
        with refusals():
            await _check_membership(session, caller, new.organization_id)
            await count_as(session, caller, INSERT, values)
        publish(session, BucketCreated(new.name, new.organization_id, by=caller.user_id))


async def update_bucket(files: Files, caller: Caller, name: str, changes: dict[str, Any]) -> None:
    """Change what `changes` names; a limit of zero is none."""
    if changes.get("file_size_limit") == 0:
        changes["file_size_limit"] = None
    # Column names are the model's, never the caller's.
    sets = ", ".join([*(f"{column} = :{column}" for column in changes), "updated_at = now()"])
    statement = f"UPDATE storage.buckets SET {sets} WHERE id = :id"  # noqa: S608
    async with files.work() as session:
        await _see(session, caller, name)
        with refusals():
            done = await count_as(session, caller, statement, changes | {"id": name})
        _require_one(done)
        publish(session, BucketUpdated(name, tuple(changes), by=caller.user_id))


async def empty_bucket(files: Files, caller: Caller, name: str) -> None:
    """Remove all files of a bucket, or none when some are not the caller's to remove."""
    async with files.work() as session:
        await _see(session, caller, name)
        with refusals():
            done = await count_as(session, caller, EMPTY, {"id": name})
        if await session.scalar(HOLDS_FILES, {"id": name}):
            raise FileRefused
        publish(session, BucketEmptied(name, done, by=caller.user_id))


async def delete_bucket(files: Files, caller: Caller, name: str) -> None:
    """Delete an empty bucket; the lock keeps uploads out meanwhile."""
    async with files.work() as session:
        await _see(session, caller, name)
        await session.execute(LOCK, {"id": name})
        if await session.scalar(HOLDS_FILES, {"id": name}):
            raise Refusal(409, "ResourceNotEmpty", "The bucket you tried to delete is not empty")
        with refusals():
            done = await count_as(session, caller, DELETE, {"id": name})
        _require_one(done)
        publish(session, BucketDeleted(name, by=caller.user_id))


async def _see(session: AsyncSession, caller: Caller, name: str) -> dict[str, Any]:
    """The bucket as the caller sees it. Raises `BucketNotFound`."""
    if is_system(name) or "\x00" in name:
        raise BucketNotFound
    rows = await rows_as(session, caller, GET, {"id": name}, columns=COLUMN_TYPES)
    if not rows:
        raise BucketNotFound
    return rows[0]._asdict()


async def _check_membership(
    session: AsyncSession, caller: Caller, organization_id: UUID | None
) -> None:
    if organization_id is None or caller.manages_all:
        return
    if not await count_as(session, caller, IS_MEMBER, {"id": organization_id}):
        raise FileRefused


def _require_one(done: int) -> None:
    """Seen but not changed: no policy allows it."""
    if done != 1:
        raise FileRefused
