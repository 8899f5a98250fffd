"""Housekeeping of the console: old entries, and runs whose process died."""

from datetime import timedelta

from sqlalchemy import text

from undercroft.foundation.db.logins import developer_role
from undercroft.foundation.jobs import JobContext, job, schedule

GRACE = timedelta(minutes=1)


@job("data.prune_sql_history")
async def prune_sql_history(context: JobContext) -> None:
    async with context.unit_of_work() as session:
        await session.execute(
            text(
                "DELETE FROM undercroft.sql_runs WHERE created_at < now() - CAST(:kept AS interval)"
            ),
            {"kept": context.settings.sql.history_retention},
        )


@job("data.end_lost_queries")
async def end_lost_queries(context: JobContext) -> None:
    """End what no process watches any more: a script may have lifted the server's own limits."""
    settings = context.settings
    longest = settings.sql.longest_timeout + GRACE
    oldest = max(longest, settings.data.import_timeout + GRACE)
    async with context.unit_of_work() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = :role AND datname = current_database()"
                "   AND backend_start < now() - CAST(:oldest AS interval)"
            ),
            {"role": developer_role(settings), "oldest": oldest},
        )
        await session.execute(
            text(
                "UPDATE undercroft.sql_runs SET outcome = 'lost'"
                " WHERE outcome = 'running' AND created_at < now() - CAST(:longest AS interval)"
            ),
            {"longest": longest},
        )


JOBS = (prune_sql_history, end_lost_queries)
SCHEDULES = (
    schedule(prune_sql_history, cron="17 4 * * *"),
    schedule(end_lost_queries, cron="*/10 * * * *"),
)
