"""The front door for other wings: put, open and delete files of their own buckets.

Bytes are staged first, outside every transaction; `link` makes them a file in the caller's one.
What is never linked, or not after all because the transaction rolled back, is swept.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import Convoy, Database, Pipeline, connect_options
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import publish
from undercroft.foundation.settings import Settings
from undercroft.storage.backends import SMALL_BYTES
from undercroft.storage.backends.opening import open_backend
from undercroft.storage.blobs import Accepted, Blobs, Parts, Staged
from undercroft.storage.callers import SYSTEM, Caller
from undercroft.storage.errors import FileNotFound
from undercroft.storage.events import ObjectRemoved, ObjectUploaded
from undercroft.storage.lookup import Lookup, StoredFile
from undercroft.storage.names import SYSTEM_PREFIX, file_name
from undercroft.storage.refusals import refusals

log = structlog.get_logger()

NOTE = text("INSERT INTO storage.blobs (id, sweep_after) VALUES (:id, :sweep_after)")
NO_WAIT = text("SET LOCAL synchronous_commit = off")
MARK = text("""
    UPDATE storage.blobs SET removing = true WHERE id = :id AND sweep_after IS NOT NULL
    RETURNING true
""")
FORGET = text("DELETE FROM storage.blobs WHERE id = :id AND removing")
LINK = text("""
    SELECT undercroft.storage_link(
        :role, :claims, :bucket, :name, :upsert, :owner, :owner_id, CAST(:metadata AS jsonb),
        CAST(:user_metadata AS jsonb), :blob, :size, :content_type, CAST(:parts AS jsonb),
        :organization, :quota, NULL, CAST(:limits AS jsonb))
""")
MAKE_BUCKET = text("""
    INSERT INTO storage.buckets (id, name, public) VALUES (:id, :id, :public)
    ON CONFLICT (id) DO UPDATE SET public = excluded.public
        WHERE storage.buckets.public <> excluded.public
""")
REMOVE = text("""
    DELETE FROM storage.objects WHERE bucket_id = :bucket AND name = ANY(:names)
    RETURNING id, name
""")
# Connections of small uploads: one that works, others while it hangs.
CONVOYS = 4
DEFAULT_CACHE_CONTROL = "max-age=3600"


@dataclass(frozen=True, slots=True)
class SystemBucket:
    """A bucket that a wing owns; its id starts with `_`.

    Nobody reaches it through the storage protocol, unless `public`: then everyone may read who
    knows a file's name. Types may end in `/*`.
    """

    id: str
    public: bool = False
    max_bytes: int = 15_000_000
    types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.id.startswith(SYSTEM_PREFIX):
            raise ValueError(f"the name of a system bucket starts with {SYSTEM_PREFIX}")

    @property
    def accepted(self) -> Accepted:
        return Accepted(self.max_bytes, self.types)


@dataclass(frozen=True, slots=True)
class Target:
    """Where bytes become a file, and what is said about it."""

    bucket: str
    name: str
    caller: Caller = SYSTEM
    upsert: bool = True
    cache_control: str = DEFAULT_CACHE_CONTROL
    user_metadata: dict[str, Any] | None = None
    organization_id: UUID | None = None
    owner: UUID | None = field(default=None)
    encoding: str | None = None

    @property
    def values(self) -> dict[str, Any]:
        owner = self.owner or self.caller.user_id
        return {
            "role": self.caller.role,
            "claims": self.caller.claims,
            "bucket": self.bucket,
            "name": self.name,
            "upsert": self.upsert,
            "owner": owner,
            "owner_id": str(owner) if owner else None,
            "metadata": None,
            "user_metadata": _json(self.user_metadata),
        }


class Files:
    """The long-lived part of storage in one process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings.storage
        self.database = database
        # The transaction of a change to rows alone.
        self.work: Callable[[], AbstractAsyncContextManager[AsyncSession]] = database.unit_of_work
        self.blobs = Blobs(open_backend(settings))
        self.lookup = Lookup(settings)
        # Behind a transaction-mode pooler no two trips have the same connection.
        self.convoy = None if settings.database.pooled else Convoy(self._connect, size=CONVOYS)
        quota = self.settings.organization_quota
        self.default_quota = None if quota is None else int(quota)

    def within(self, session: AsyncSession) -> "Files":
        """The same, whose `work` is in a transaction that is open already and ends later."""
        joined = copy(self)
        joined.work = lambda: nullcontext(session)
        return joined

    async def stage(
        self,
        content: AsyncIterable[bytes],
        *,
        bucket: SystemBucket,
        declared_type: str | None = None,
    ) -> Staged:
        """Store bytes that nobody sees yet. Do it before the transaction's first statement.

        Raises `FileTooLarge`, `FileTypeRefused`, `StorageFull`.
        """
        blob_id = new_id()
        async with self.database.unit_of_work() as session:
            await session.execute(NO_WAIT)
            await session.execute(NOTE, {"id": blob_id, "sweep_after": self.staged_until()})
        try:
            return await self.blobs.write(
                blob_id, content, declared_type=declared_type, accepted=bucket.accepted
            )
        except BaseException:
            await self.discard(blob_id)
            raise

    async def link(
        self,
        session: AsyncSession,
        staged: Staged,
        *,
        bucket: SystemBucket,
        name: str,
        owner: UUID | None = None,
        organization_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> UUID:
        """Make staged bytes the file `name` when this transaction commits; return its id.

        What was there under that name is replaced. With an organization the bytes count towards
        its quota, and `QuotaExceeded` is raised where it has no room.
        """
        await session.execute(MAKE_BUCKET, {"id": bucket.id, "public": bucket.public})
        target = Target(
            bucket.id,
            file_name(name),
            user_metadata=metadata,
            organization_id=organization_id,
            owner=owner,
        )
        return await self.link_target(session, staged, target)

    async def put(
        self,
        session: AsyncSession,
        content: AsyncIterable[bytes],
        *,
        bucket: SystemBucket,
        name: str,
        declared_type: str | None = None,
        owner: UUID | None = None,
        organization_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Staged:
        """`stage` and `link` in one, for transactions that have done nothing yet."""
        staged = await self.stage(content, bucket=bucket, declared_type=declared_type)
        await self.link(
            session,
            staged,
            bucket=bucket,
            name=name,
            owner=owner,
            organization_id=organization_id,
            metadata=metadata,
        )
        return staged

    async def find(self, *, bucket: SystemBucket, name: str) -> StoredFile | None:
        """What is committed under this name."""
        return await self.lookup.find(SYSTEM, bucket.id, file_name(name))

    async def open(
        self, *, bucket: SystemBucket, name: str
    ) -> tuple[StoredFile, AsyncIterator[bytes]]:
        """A file and its bytes as a stream. Raises `FileNotFound`."""
        found = await self.find(bucket=bucket, name=name)
        if found is None:
            raise FileNotFound
        return found, self.read(found)

    def read(
        self, file: StoredFile, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        last = file.size_bytes if end is None else end
        return self.blobs.read(file.blob_id, file.parts, start, last)

    async def read_small(self, file: StoredFile) -> bytes | None:
        """All of a small file in one piece; None for one to be streamed."""
        if file.parts is not None or file.size_bytes > SMALL_BYTES:
            return None
        return await self.blobs.read_small(file.blob_id, file.size_bytes)

    async def delete(
        self, session: AsyncSession, *, bucket: SystemBucket, names: Collection[str]
    ) -> int:
        """Remove files when this transaction commits; returns how many there were."""
        values = {"bucket": bucket.id, "names": [file_name(name) for name in names]}
        rows = (await session.execute(REMOVE, values)).all()
        for row in rows:
            publish(session, ObjectRemoved(row.id, bucket.id, row.name, by=None))
        return len(rows)

    async def check(self) -> None:
        """Return when bytes can be written and read. Raises `BackendDown`."""
        await self.blobs.backend.check()

    async def close(self) -> None:
        await self.lookup.close()
        if self.convoy:
            await self.convoy.close()
        self.blobs.backend.close()

    async def _connect(self) -> Pipeline:
        options = connect_options(self.database.settings, application="files")
        return await Pipeline.open(
            self.database.url, options["server_settings"], timeout=options["timeout"]
        )

    async def link_target(
        self, session: AsyncSession, staged: Staged, target: Target, *, limits: str | None = None
    ) -> UUID:
        """As `link`, for any caller and bucket; row security decides.

        Raises problems, and `LimitsChanged` where limits are given and the bucket has others.
        """
        values = self.link_values(staged, target) | {"limits": limits}
        with refusals():
            object_id: UUID = await session.scalar(LINK, values)
        publish(session, uploaded(object_id, staged, target))
        return object_id

    def link_values(self, staged: Staged, target: Target) -> dict[str, Any]:
        """The arguments of `undercroft.storage_link`, in their order."""
        return target.values | {
            "blob": staged.blob_id,
            "size": staged.size_bytes,
            "content_type": staged.content_type,
            "parts": _json(staged.parts),
            "organization": target.organization_id,
            "quota": self.default_quota,
            "metadata": _json(described(staged, target)),
        }

    async def discard(self, blob_id: UUID, parts: Parts | None = None) -> None:
        """Remove what an upload that failed has left; what this misses, the sweep finds.

        A commit whose answer was lost may have happened: what a file holds by now stays.
        """
        try:
            async with self.database.unit_of_work() as session:
                await session.execute(NO_WAIT)
                if not await session.scalar(MARK, {"id": blob_id}):
                    return
            await self.blobs.remove(blob_id, parts)
            async with self.database.unit_of_work() as session:
                await session.execute(NO_WAIT)
                await session.execute(FORGET, {"id": blob_id})
        except Exception as error:  # noqa: BLE001 - why the upload failed is what callers are told
            log.warning("upload_left_for_the_sweep", blob=str(blob_id), cause=repr(error))

    def staged_until(self) -> datetime:
        return utc_now() + self.settings.staging_lifetime


def uploaded(object_id: UUID, staged: Staged, target: Target) -> ObjectUploaded:
    return ObjectUploaded(
        object_id,
        target.bucket,
        target.name,
        staged.size_bytes,
        staged.content_type,
        target.owner or target.caller.user_id,
    )


def described(staged: Staged, target: Target) -> dict[str, Any]:
    """The `metadata` of a row, as Supabase's clients and policies know it."""
    now = utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {
        "eTag": f'"{staged.blob_id.hex}"',
        "size": staged.size_bytes,
        "mimetype": staged.content_type,
        "cacheControl": target.cache_control,
        "lastModified": now,
        "contentLength": staged.size_bytes,
        "httpStatusCode": 200,
    }
    return told | {"contentEncoding": target.encoding} if target.encoding else told


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
