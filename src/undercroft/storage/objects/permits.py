"""What is settled before the first byte of an upload."""

from dataclasses import dataclass
from uuid import UUID

import orjson

from undercroft.foundation.ids import new_id
from undercroft.storage.blobs import Accepted
from undercroft.storage.errors import BucketNotFound
from undercroft.storage.files import Files, Target
from undercroft.storage.names import is_system
from undercroft.storage.refusals import refusals

BEGIN = """
    SELECT * FROM undercroft.storage_begin(
        $1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10, $11, $12, $13)
"""


@dataclass(frozen=True, slots=True)
class Permitted:
    """`limits` are the bucket's own, as Postgres compares them."""

    blob_id: UUID
    accepted: Accepted
    organization_id: UUID | None
    limits: str


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
    values = target.values | {"metadata": orjson.dumps(expected).decode()}
    with refusals():
        row = await files.lookup.fetchrow(
            BEGIN, *values.values(), blob_id, size_bytes, files.default_quota, files.staged_until()
        )
    assert row is not None
    size_limit, types = row["file_size_limit"], row["allowed_mime_types"]
    accepted = Accepted(
        min(size_limit or 2**62, int(files.settings.max_object_bytes)), tuple(types or ())
    )
    try:
        accepted.check_size(size_bytes or 0)
    except BaseException:
        await files.discard(blob_id)
        raise
    limits = orjson.dumps([size_limit, types]).decode()
    return Permitted(blob_id, accepted, row["organization_id"], limits)
