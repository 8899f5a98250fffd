"""The verbs on buckets. Row security on `storage.buckets` decides, as the caller."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.jobs import publish
from undercroft.storage.callers import Caller, acting_as
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
LIST = """
    SELECT {columns} FROM storage.buckets
     WHERE id NOT LIKE '\\_%' AND position(lower(:search) in lower(id)) > 0
     ORDER BY {column} {order}, id LIMIT :limit OFFSET :offset
"""
GET = text(f"SELECT {COLUMNS} FROM storage.buckets WHERE id = :id")  # noqa: S608 - our constant
INSERT = text("""
    INSERT INTO storage.buckets (id, name, owner, owner_id, public, file_size_limit,
                                 allowed_mime_types, organization_id)
    VALUES (:id, :id, :owner, :owner_id, :public, :file_size_limit, :types, :organization_id)
""")
# Evaluated as the caller: nobody fills another organization's quota.
IS_MEMBER = text("SELECT CAST(:id AS uuid) IN (SELECT auth.orgs())")
LOCK = text("SELECT id FROM storage.buckets WHERE id = :id FOR UPDATE")
HOLDS_FILES = text("SELECT EXISTS (SELECT FROM storage.objects WHERE bucket_id = :id)")
DELETE = text("DELETE FROM storage.buckets WHERE id = :id")
EMPTY = text("DELETE FROM storage.objects WHERE bucket_id = :id")


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
    statement = text(LIST.format(columns=COLUMNS, column=page.column, order=order))
    values = {"search": page.search, "limit": page.limit, "offset": page.offset}
    async with files.database.unit_of_work() as session, acting_as(session, caller):
        return [row._asdict() for row in await session.execute(statement, values)]


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
    async with files.database.unit_of_work() as session:
        with refusals():
            async with acting_as(session, caller):
                await _check_membership(session, caller, new.organization_id)
                await session.execute(INSERT, values)
        publish(session, BucketCreated(new.name, new.organization_id, by=caller.user_id))


async def update_bucket(files: Files, caller: Caller, name: str, changes: dict[str, Any]) -> None:
    """Change what `changes` names; a limit of zero is none."""
    if changes.get("file_size_limit") == 0:
        changes["file_size_limit"] = None
    # Column names are the model's, never the caller's.
    sets = ", ".join([*(f"{column} = :{column}" for column in changes), "updated_at = now()"])
    statement = text(f"UPDATE storage.buckets SET {sets} WHERE id = :id")  # noqa: S608
    async with files.database.unit_of_work() as session:
        await _see(session, caller, name)
        with refusals():
            async with acting_as(session, caller):
                done = await session.execute(statement, changes | {"id": name})
        _require_one(done)
        publish(session, BucketUpdated(name, tuple(changes), by=caller.user_id))


async def empty_bucket(files: Files, caller: Caller, name: str) -> None:
    """Remove all files of a bucket, or none when some are not the caller's to remove."""
    async with files.database.unit_of_work() as session:
        await _see(session, caller, name)
        with refusals():
            async with acting_as(session, caller):
                done: Any = await session.execute(EMPTY, {"id": name})
        if await session.scalar(HOLDS_FILES, {"id": name}):
            raise FileRefused
        publish(session, BucketEmptied(name, done.rowcount, by=caller.user_id))


async def delete_bucket(files: Files, caller: Caller, name: str) -> None:
    """Delete an empty bucket; the lock keeps uploads out meanwhile."""
    async with files.database.unit_of_work() as session:
        await _see(session, caller, name)
        await session.execute(LOCK, {"id": name})
        if await session.scalar(HOLDS_FILES, {"id": name}):
            raise Refusal(409, "ResourceNotEmpty", "The bucket you tried to delete is not empty")
        with refusals():
            async with acting_as(session, caller):
                done = await session.execute(DELETE, {"id": name})
        _require_one(done)
        publish(session, BucketDeleted(name, by=caller.user_id))


async def _see(session: AsyncSession, caller: Caller, name: str) -> dict[str, Any]:
    """The bucket as the caller sees it. Raises `BucketNotFound`."""
    if is_system(name) or "\x00" in name:
        raise BucketNotFound
    async with acting_as(session, caller):
        row = (await session.execute(GET, {"id": name})).one_or_none()
    if row is None:
        raise BucketNotFound
    return row._asdict()


async def _check_membership(
    session: AsyncSession, caller: Caller, organization_id: UUID | None
) -> None:
    if organization_id is None or caller.manages_all:
        return
    if not await session.scalar(IS_MEMBER, {"id": organization_id}):
        raise FileRefused


def _require_one(done: Any) -> None:
    """Seen but not changed: no policy allows it."""
    if done.rowcount != 1:
        raise FileRefused
