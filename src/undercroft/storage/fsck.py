"""Comparing rows with bytes, both ways.

Reads what a backend holds against what Postgres knows. An upload that is under way is neither
fault: its bytes are noted, and bytes nobody noted are left alone until they are older than the
longest upload.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import UnitOfWork
from undercroft.foundation.problems import Conflict
from undercroft.storage.backends import Entry
from undercroft.storage.backends.disk import STAGING
from undercroft.storage.blobs import DIRECTORY, blob_of, keys_of
from undercroft.storage.files import Files
from undercroft.storage.sweeping import sweep

AT_ONCE = 1000
KNOWN = text("""
    SELECT b.id, b.parts, b.sweep_after IS NULL AS linked,
           coalesce((SELECT u.parts FROM storage.uploads u WHERE u.blob_id = b.id), '[]') AS coming
      FROM storage.blobs b WHERE b.id = ANY(:ids)
""")
LINKED = text("""
    SELECT b.id, b.parts, b.size_bytes FROM storage.blobs b
     WHERE b.id > :after AND EXISTS (SELECT FROM storage.objects o WHERE o.blob_id = b.id)
     ORDER BY b.id LIMIT :most
""")
HOLDERS = text("""
    SELECT bucket_id, name FROM storage.objects WHERE blob_id = :id ORDER BY bucket_id, name
""")
UNLINK = text("DELETE FROM storage.objects WHERE blob_id = :id")
OVERDUE = text("""
    SELECT b.id FROM storage.blobs b
     WHERE b.sweep_after <= :before
       AND NOT EXISTS (SELECT FROM storage.objects o WHERE o.blob_id = b.id)
       AND NOT EXISTS (SELECT FROM storage.uploads u
                        WHERE u.blob_id = b.id AND u.expires_at >= :now)
     ORDER BY b.id
""")


class BackendLooksWrong(Conflict):
    title = "This does not look like the store that the files are in"
    detail = "All {files} files are missing. Check the storage settings before repairing anything."

    def __init__(self, files: int) -> None:
        super().__init__(files=files)


@dataclass(frozen=True, slots=True)
class Missing:
    """A file whose bytes are gone, or are fewer than they were."""

    bucket: str
    name: str
    blob: str


@dataclass(slots=True)
class Report:
    """`orphans` are keys that no row knows, `overdue` blobs that the sweeper should have taken."""

    files: int = 0
    bytes: int = 0
    orphans: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    overdue: list[str] = field(default_factory=list)
    repaired: bool = False

    @property
    def clean(self) -> bool:
        return self.repaired or not (self.orphans or self.missing or self.overdue)


async def check_files(files: Files, unit_of_work: UnitOfWork, *, repair: bool = False) -> Report:
    """List what does not belong together.

    With `repair`, remove orphaned bytes, and the rows of files whose bytes are gone. Raises
    `BackendLooksWrong` instead of removing every file there is.
    """
    report = Report()
    sizes: dict[UUID, dict[str, int]] = {}
    async for batch in _batches(files):
        await _sort_out(files, unit_of_work, batch, report, sizes)
    await _find_missing(unit_of_work, report, sizes)
    await _find_overdue(files, unit_of_work, report)
    if repair:
        await _repair(files, unit_of_work, report)
    return report


async def _batches(files: Files) -> AsyncIterator[list[Entry]]:
    batch: list[Entry] = []
    for directory in (DIRECTORY, STAGING):
        async for entry in files.blobs.backend.entries(directory):
            batch.append(entry)
            if len(batch) >= AT_ONCE:
                yield batch
                batch = []
    yield batch


async def _sort_out(
    files: Files,
    unit_of_work: UnitOfWork,
    batch: list[Entry],
    report: Report,
    sizes: dict[UUID, dict[str, int]],
) -> None:
    ids = {blob for entry in batch if (blob := blob_of(entry.key))}
    async with unit_of_work() as session:
        rows = {row.id: row for row in await session.execute(KNOWN, {"ids": list(ids)})}
    young = utc_now() - files.settings.staging_lifetime
    for entry in batch:
        blob = blob_of(entry.key)
        row = rows.get(blob) if blob else None
        if row is not None and blob is not None and entry.key in _expected(row):
            sizes.setdefault(blob, {})[entry.key] = entry.size_bytes
        elif entry.modified_at < young or (row is not None and row.linked):
            report.orphans.append(entry.key)


def _expected(row: Any) -> set[str]:
    """The keys that this blob may have now: those of a finished one, or of one that is coming."""
    if row.linked:
        return set(keys_of(row.id, row.parts))
    return {*keys_of(row.id, row.parts), *keys_of(row.id, row.coming)}


async def _find_missing(
    unit_of_work: UnitOfWork, report: Report, sizes: dict[UUID, dict[str, int]]
) -> None:
    after = UUID(int=0)
    while True:
        async with unit_of_work() as session:
            rows = (await session.execute(LINKED, {"after": after, "most": AT_ONCE})).all()
            for row in rows:
                report.files += 1
                report.bytes += row.size_bytes or 0
                present = sizes.get(row.id, {})
                if sum(present.values()) == row.size_bytes and (
                    set(present) == set(keys_of(row.id, row.parts))
                ):
                    continue
                holders = await session.execute(HOLDERS, {"id": row.id})
                report.missing += [Missing(h.bucket_id, h.name, str(row.id)) for h in holders]
        if not rows:
            return
        after = rows[-1].id


async def _find_overdue(files: Files, unit_of_work: UnitOfWork, report: Report) -> None:
    now = utc_now()
    # The sweeper comes every minute; what it has not had time for is no fault.
    before = now - files.settings.removal_grace * 2
    async with unit_of_work() as session:
        rows = await session.execute(OVERDUE, {"before": before, "now": now})
        report.overdue = [str(row.id) for row in rows]


async def _repair(files: Files, unit_of_work: UnitOfWork, report: Report) -> None:
    broken = {missing.blob for missing in report.missing}
    if report.files > 1 and len(broken) == report.files:
        raise BackendLooksWrong(report.files)
    await files.blobs.backend.delete(report.orphans)
    async with unit_of_work() as session:
        for blob in sorted(broken):
            await session.execute(UNLINK, {"id": UUID(blob)})
    await sweep(files, unit_of_work)
    report.repaired = True
