"""Removing bytes that no file holds: after failed uploads, replaced and deleted files.

First a blob is marked and that is committed: from then on nothing can take hold of it. Then its
bytes go, then its row. A sweeper that dies in between is continued by the next.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import UnitOfWork
from undercroft.storage.backends import BackendDown
from undercroft.storage.files import Files
from undercroft.storage.metrics import swept

log = structlog.get_logger()

AT_ONCE = 200
# A marked blob that is still there so long after belongs to a sweeper that died.
EXPIRE = text("DELETE FROM storage.uploads WHERE expires_at < :now")
# Shared with another file: look again another day, as that file may go too.
KEEP = text("""
    UPDATE storage.blobs b SET sweep_after = CAST(:now AS timestamptz) + interval '1 day'
     WHERE b.sweep_after <= :before AND NOT b.removing
       AND EXISTS (SELECT FROM storage.objects o WHERE o.blob_id = b.id)
""")
MARK = text("""
    UPDATE storage.blobs SET removing = true
     WHERE id IN (
        SELECT b.id FROM storage.blobs b
         WHERE b.sweep_after <= :before
           AND NOT EXISTS (SELECT FROM storage.objects o WHERE o.blob_id = b.id)
           AND NOT EXISTS (SELECT FROM storage.uploads u
                            WHERE u.blob_id = b.id AND u.expires_at >= :now)
         ORDER BY b.sweep_after LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id, parts, size_bytes
""")
DROP = text("DELETE FROM storage.blobs WHERE id = ANY(:ids) AND removing")


async def sweep(files: Files, unit_of_work: UnitOfWork, *, now: datetime | None = None) -> int:
    """Remove what is due and return how many blobs that was, not counting half-written files."""
    now = now or utc_now()
    await _tidy(files)
    total = 0
    async with unit_of_work() as session:
        await session.execute(EXPIRE, {"now": now})
        await session.execute(KEEP, {"now": now, "before": now - files.settings.removal_grace})
    while found := await _mark(files, unit_of_work, now):
        gone = await _remove(files, found)
        async with unit_of_work() as session:
            await session.execute(DROP, {"ids": gone})
        total += len(gone)
        swept.inc(len(gone))
        if len(gone) < len(found):
            break  # the backend is away: the next sweep goes on
    return total


async def _tidy(files: Files) -> None:
    try:
        await files.blobs.backend.tidy()
    except BackendDown as error:
        log.warning("storage_not_tidied", cause=str(error))


async def _mark(files: Files, unit_of_work: UnitOfWork, now: datetime) -> list[Any]:
    values = {"before": now - files.settings.removal_grace, "now": now, "most": AT_ONCE}
    async with unit_of_work() as session:
        return list((await session.execute(MARK, values)).all())


async def _remove(files: Files, found: list[Any]) -> list[UUID]:
    gone = []
    for blob in found:
        try:
            await files.blobs.remove(blob.id, blob.parts)
            # An upload that was never finished does not say yet in which form it came.
            if blob.size_bytes is None:
                await files.blobs.remove(blob.id, [])
        except BackendDown as error:
            log.warning("blob_not_removed", blob=str(blob.id), cause=str(error))
            break
        gone.append(blob.id)
    return gone
