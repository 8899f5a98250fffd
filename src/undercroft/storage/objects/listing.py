"""Lists of files: folders are parts of names, derived only from rows that the caller may see."""

import base64
import binascii
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, Field
from sqlalchemy import text

from undercroft.storage.callers import rows_as
from undercroft.storage.desk import Desk
from undercroft.storage.errors import BucketNotFound
from undercroft.storage.names import file_prefix, is_system
from undercroft.storage.wire import Answer, Request, answer_json, invalid

# Behind and before every character that a name can hold.
LAST, BEFORE_ALL = "\U0010ffff", "\x01"
HERE = "o.bucket_id = :bucket AND o.name >= :first AND o.name < :beyond"

# One level, folders first. The rest of a name behind the prefix is split at its first slash.
FOLDER = """
    SELECT entry.name, CASE WHEN NOT entry.folder THEN min(o.id::text) END AS id,
           CASE WHEN NOT entry.folder THEN min(o.updated_at) END AS updated_at,
           CASE WHEN NOT entry.folder THEN min(o.created_at) END AS created_at,
           CASE WHEN NOT entry.folder THEN min(o.last_accessed_at) END AS last_accessed_at,
           CASE WHEN NOT entry.folder THEN (array_agg(o.metadata))[1] END AS metadata
      FROM storage.objects o
     CROSS JOIN LATERAL (SELECT substr(o.name, length(:prefix) + 1) AS rest) AS behind
     CROSS JOIN LATERAL (SELECT split_part(rest, '/', 1) AS name,
                                position('/' in rest) > 0 AS folder) AS entry
     WHERE {here} AND starts_with(lower(entry.name), lower(:search))
     GROUP BY entry.name, entry.folder
     ORDER BY entry.folder DESC, {column} {order}, entry.name
     LIMIT :limit OFFSET :offset
"""
# From one entry straight to the next: a folder of a million files costs one look at the index.
WALK = """
    WITH RECURSIVE walk AS (
        ({step})
        UNION ALL
        SELECT next.* FROM walk CROSS JOIN LATERAL ({next}) AS next
    )
    SELECT key, folder, id, name, updated_at, created_at, last_accessed_at, metadata, key AS sorted
      FROM walk LIMIT :limit
"""
STEP = """
    SELECT entry.key, entry.folder, o.id, o.name, o.updated_at, o.created_at, o.last_accessed_at,
           o.metadata, CASE WHEN entry.folder THEN {skip} ELSE o.name END AS past
      FROM storage.objects o
     CROSS JOIN LATERAL (SELECT substr(o.name, length(:prefix) + 1) AS rest) AS behind
     CROSS JOIN LATERAL (
        SELECT :delimited AND position('/' in rest) > 0 AS folder,
               CASE WHEN :delimited AND position('/' in rest) > 0
                    THEN :prefix || split_part(rest, '/', 1) || '/' ELSE o.name END AS key) AS entry
     WHERE {here} AND {after}
     ORDER BY o.name {order} LIMIT 1
"""
BY_TIME = """
    SELECT * FROM (
        SELECT entry.key, entry.folder, (array_agg(o.id))[1] AS id, min(o.name) AS name,
               min(o.updated_at) AS updated_at, min(o.created_at) AS created_at,
               min(o.last_accessed_at) AS last_accessed_at, (array_agg(o.metadata))[1] AS metadata,
               CASE WHEN entry.folder THEN min(o.created_at) ELSE min(o.{column}) END AS sorted
          FROM storage.objects o
         CROSS JOIN LATERAL (SELECT substr(o.name, length(:prefix) + 1) AS rest) AS behind
         CROSS JOIN LATERAL (
            SELECT :delimited AND position('/' in rest) > 0 AS folder,
                   CASE WHEN :delimited AND position('/' in rest) > 0
                        THEN :prefix || split_part(rest, '/', 1) || '/' ELSE o.name END COLLATE "C"
                        AS key) AS entry
         WHERE {here}
         GROUP BY entry.key, entry.folder) AS entries
     WHERE CAST(:sorted AS timestamptz) IS NULL
        OR (sorted, key) {beyond} (CAST(:sorted AS timestamptz), CAST(:key AS text))
     ORDER BY sorted {order}, key {order} LIMIT :limit
"""
IN_FOLDER = """
    name text, id text, updated_at timestamptz, created_at timestamptz,
    last_accessed_at timestamptz, metadata jsonb
"""
ON_PAGE = """
    key text, folder boolean, id uuid, name text, updated_at timestamptz, created_at timestamptz,
    last_accessed_at timestamptz, metadata jsonb, sorted {sorted}
"""
Versions = Literal["exclude", "include", "only"]
BUCKET = text("SELECT true FROM storage.buckets WHERE id = :bucket")


class SortBy(BaseModel):
    column: Literal["name", "updated_at", "created_at", "last_accessed_at"] = "name"
    order: Literal["asc", "desc"] = "asc"


class _Wanted(BaseModel):
    """What both lists take. Names are the protocol's."""

    prefix: str = ""
    sortBy: SortBy = SortBy()  # noqa: N815
    exactMatch: bool = False  # noqa: N815
    noncurrentVersions: Versions = "exclude"  # noqa: N815
    deleteMarkers: Versions = "exclude"  # noqa: N815

    @property
    def nothing(self) -> bool:
        """Whether only versions are wanted that are never kept."""
        return "only" in {self.noncurrentVersions, self.deleteMarkers}


class ListFolder(_Wanted):
    search: str | None = None
    limit: int = Field(100, ge=1, le=10_000)
    offset: int = Field(0, ge=0, le=2**31)


class ListPage(_Wanted):
    cursor: str | None = None
    limit: int = Field(1000, ge=1, le=1000)
    with_delimiter: bool = False


async def list_folder(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wanted = await request.json(ListFolder)
    prefix = file_prefix(wanted.prefix.lstrip("/"))
    if prefix and not wanted.exactMatch and not prefix.endswith("/"):
        prefix += "/"
    order = wanted.sortBy.order
    by_name = wanted.sortBy.column == "name"
    column = "entry.name" if by_name else f"min(o.{wanted.sortBy.column})"
    statement = FOLDER.format(here=HERE, column=column, order=order)
    values = {
        **_range(request.path[2], prefix, exact=wanted.exactMatch),
        "search": file_prefix(wanted.search or ""),
        "limit": wanted.limit,
        "offset": wanted.offset,
    }
    async with desk.files.database.unit_of_work() as session:
        await _require_bucket(session, request.path[2])
        rows = await rows_as(session, caller, statement, values, columns=IN_FOLDER)
    return answer_json([] if wanted.nothing else [row._asdict() for row in rows])


async def list_page(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wanted = await request.json(ListPage)
    prefix = file_prefix(wanted.prefix.lstrip("/"))
    after = _read_cursor(wanted)
    values = {
        **_range(request.path[2], prefix, exact=wanted.exactMatch),
        "delimited": wanted.with_delimiter,
        "limit": wanted.limit + 1,
        **after,
    }
    async with desk.files.database.unit_of_work() as session:
        await _require_bucket(session, request.path[2])
        columns = ON_PAGE.format(sorted="text" if wanted.sortBy.column == "name" else "timestamptz")
        found = await rows_as(session, caller, _page_statement(wanted), values, columns=columns)
    return answer_json(_page([] if wanted.nothing else found, wanted.limit))


def _page_statement(wanted: ListPage) -> str:
    order = wanted.sortBy.order
    comparison = ">" if order == "asc" else "<"
    if wanted.sortBy.column != "name":
        column = wanted.sortBy.column
        return BY_TIME.format(here=HERE, column=column, order=order, beyond=comparison)
    # Past a folder: behind all that is in it, or before.
    skip = f"entry.key || '{LAST}'" if order == "asc" else "entry.key"
    first = f"(CAST(:key AS text) IS NULL OR o.name {comparison} CAST(:past AS text))"
    following = f"o.name {comparison} walk.past"
    step = STEP.format(here=HERE, skip=skip, after=first, order=order)
    return WALK.format(
        step=step, next=STEP.format(here=HERE, skip=skip, after=following, order=order)
    )


def _page(found: Any, limit: int) -> dict[str, Any]:
    rows = found[:limit]
    page: dict[str, Any] = {"hasNext": len(found) > limit, "folders": [], "objects": []}
    for row in rows:
        if row.folder:
            page["folders"].append({"name": row.key, "key": row.key.rstrip("/")})
        else:
            page["objects"].append(
                {
                    "id": row.id,
                    "name": row.name,
                    "key": row.name,
                    "updated_at": row.updated_at,
                    "created_at": row.created_at,
                    "last_accessed_at": row.last_accessed_at,
                    "metadata": row.metadata,
                }
            )
    if page["hasNext"]:
        page["nextCursor"] = _write_cursor(rows[-1])
    return page


def _range(bucket: str, prefix: str, *, exact: bool) -> dict[str, Any]:
    """Names from `first` to `beyond`, seen from the folder `prefix`."""
    if is_system(bucket) or "\x00" in bucket:
        raise BucketNotFound
    folder = "".join(prefix.rpartition("/")[:2]) if exact else prefix
    beyond = prefix + (BEFORE_ALL if exact else LAST)
    return {"bucket": bucket, "prefix": folder, "first": prefix, "beyond": beyond}


async def _require_bucket(session: Any, bucket: str) -> None:
    if not await session.scalar(BUCKET, {"bucket": bucket}):
        raise BucketNotFound


def _write_cursor(row: Any) -> str:
    sorted_by = row.sorted if isinstance(row.sorted, str) else row.sorted.isoformat()
    content = orjson.dumps([row.key, sorted_by, bool(row.folder)])
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _read_cursor(wanted: ListPage) -> dict[str, Any]:
    """Where the page before ended. A cursor only ever narrows what the caller sees anyway."""
    by_name = wanted.sortBy.column == "name"
    nowhere: dict[str, Any] = {"key": None, "past" if by_name else "sorted": None}
    if not wanted.cursor:
        return nowhere
    try:
        padded = wanted.cursor + "=" * (-len(wanted.cursor) % 4)
        key, sorted_by, folder = orjson.loads(base64.urlsafe_b64decode(padded))
        key = file_prefix(key)
        if by_name:
            behind = folder and wanted.sortBy.order == "asc"
            return {"key": key, "past": key + LAST if behind else key}
        return {"key": key, "sorted": datetime.fromisoformat(sorted_by)}
    except (binascii.Error, ValueError, TypeError, AttributeError) as error:
        raise invalid("The cursor is not valid") from error
