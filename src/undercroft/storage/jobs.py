"""Background work on files."""

from datetime import timedelta

import structlog

from undercroft.foundation.jobs import JobContext, job, schedule
from undercroft.storage.files import Files
from undercroft.storage.fsck import check_files
from undercroft.storage.sweeping import sweep

log = structlog.get_logger()


@job("storage.sweep", timeout=timedelta(minutes=30))
async def sweep_blobs(context: JobContext) -> None:
    """Remove the bytes of deleted and replaced files, and of uploads that came to nothing."""
    files: Files = context.services["files"]
    await sweep(files, context.unit_of_work)


@job("storage.compare", timeout=timedelta(hours=6))
async def compare_files(context: JobContext) -> None:
    """Remove bytes that no row knows, which a crash can leave; report files without bytes.

    Rows are never removed here: only a person knows whether the store is the right one.
    """
    files: Files = context.services["files"]
    report = await check_files(files, context.unit_of_work)
    await files.blobs.backend.delete(report.orphans)
    if report.missing:
        log.error(
            "files_without_bytes", files=len(report.missing), advice="undercroft storage fsck"
        )


JOBS = (sweep_blobs, compare_files)
SCHEDULES = (
    schedule(sweep_blobs, cron="* * * * * 35"),
    schedule(compare_files, cron="20 4 * * *"),
)
