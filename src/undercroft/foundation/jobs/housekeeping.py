"""What no wing forgets for us: finished jobs, and answers by Idempotency-Key."""

from sqlalchemy import text

from undercroft.foundation.jobs.declaration import JobContext, job, schedule
from undercroft.foundation.jobs.tables import NAMES

# The entry that says why a job died stays for as long as its dead letter does.
PRUNE = text(f"""
    DELETE FROM {NAMES.qualified.queue_table_log} entry
    WHERE entry.created < now() - CAST(:kept AS interval)
      AND NOT EXISTS (
          SELECT FROM {NAMES.qualified.queue_table} waiting WHERE waiting.id = entry.job_id
      )
""")  # noqa: S608 - constant names
FORGET_ANSWERS = text("DELETE FROM undercroft.idempotency_keys WHERE expires_at < now()")


@job("foundation.prune_job_log")
async def prune_job_log(context: JobContext) -> None:
    """Forget finished jobs after a while; PgQueuer never does."""
    async with context.unit_of_work() as session:
        await session.execute(PRUNE, {"kept": context.settings.jobs.log_retention})


@job("foundation.forget_answers")
async def forget_answers(context: JobContext) -> None:
    """Delete answers whose day is over: nobody may have them replayed any more."""
    async with context.unit_of_work() as session:
        await session.execute(FORGET_ANSWERS)


HOUSEKEEPING_JOBS = (prune_job_log, forget_answers)
HOUSEKEEPING_SCHEDULES = (
    schedule(prune_job_log, cron="40 3 * * *"),
    schedule(forget_answers, cron="27 * * * *"),
)
