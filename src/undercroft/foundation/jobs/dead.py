"""Dead letters: jobs that failed their last try and wait for someone to decide."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.jobs.tables import NAMES
from undercroft.foundation.problems import NotFound

QUEUE = NAMES.qualified.queue_table
LOG = NAMES.qualified.queue_table_log

LIST = text(f"""
    SELECT dead.id, dead.entrypoint, dead.payload, dead.attempts, dead.created, dead.updated,
           why.traceback ->> 'exception_type' AS kind,
           why.traceback ->> 'exception_message' AS message,
           why.traceback ->> 'traceback' AS traceback
    FROM {QUEUE} dead
    LEFT JOIN LATERAL (
        SELECT entry.traceback FROM {LOG} entry
        WHERE entry.job_id = dead.id AND entry.status = 'failed'
        ORDER BY entry.created DESC, entry.id DESC LIMIT 1
    ) why ON true
    WHERE dead.status = 'failed'
      AND dead.id < coalesce(CAST(:before AS bigint), 9223372036854775807)
      AND (CAST(:name AS text) IS NULL OR dead.entrypoint = :name)
    ORDER BY dead.id DESC LIMIT :limit
""")  # noqa: S608 - constant names

# The dedupe key goes when another job has taken it meanwhile: whoever asks for a retry means it.
REQUEUE = text(f"""
    WITH requeued AS (
        UPDATE {QUEUE} dead
        SET status = 'queued', attempts = 0, execute_after = now(), updated = now(),
            dedupe_key = CASE WHEN EXISTS (
                SELECT FROM {QUEUE} live
                WHERE live.dedupe_key = dead.dedupe_key AND live.status IN ('queued', 'picked')
            ) THEN NULL ELSE dead.dedupe_key END
        WHERE dead.id = :job_id AND dead.status = 'failed'
        RETURNING id, entrypoint, priority
    )
    INSERT INTO {LOG} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM requeued RETURNING job_id
""")  # noqa: S608 - constant names

DISCARD = text(f"""
    WITH discarded AS (
        DELETE FROM {QUEUE} WHERE id = :job_id AND status = 'failed'
        RETURNING id, entrypoint, priority
    )
    INSERT INTO {LOG} (job_id, status, entrypoint, priority)
    SELECT id, 'deleted', entrypoint, priority FROM discarded RETURNING job_id
""")  # noqa: S608 - constant names


class DeadJobNotFound(NotFound):
    title = "No such dead job"
    detail = "No dead job has the id {job_id}."

    def __init__(self, job_id: int) -> None:
        super().__init__(job_id=job_id)


@dataclass(frozen=True)
class DeadJob:
    id: int
    name: str
    arguments: dict[str, Any]
    attempts: int
    queued_at: datetime
    died_at: datetime
    error: str
    traceback: str


async def list_dead_jobs(
    session: AsyncSession, *, name: str | None = None, before: int | None = None, limit: int = 20
) -> list[DeadJob]:
    """Newest first; `before` is the last id of the previous page."""
    rows = await session.execute(LIST, {"name": name, "before": before, "limit": limit})
    return [
        DeadJob(
            id=row.id,
            name=row.entrypoint,
            arguments=from_json(row.payload or b"{}"),
            attempts=row.attempts + 1,  # PgQueuer counts the tries that were followed by another
            queued_at=row.created,
            died_at=row.updated,
            error=f"{row.kind}: {row.message}" if row.kind else "",
            traceback=row.traceback or "",
        )
        for row in rows
    ]


async def requeue_dead_job(session: AsyncSession, job_id: int) -> None:
    """Give it a full set of tries again, starting now. Raises `DeadJobNotFound`."""
    if await session.scalar(REQUEUE, {"job_id": job_id}) is None:
        raise DeadJobNotFound(job_id)


async def discard_dead_job(session: AsyncSession, job_id: int) -> None:
    """Forget it; the log keeps a line for a while. Raises `DeadJobNotFound`."""
    if await session.scalar(DISCARD, {"job_id": job_id}) is None:
        raise DeadJobNotFound(job_id)
