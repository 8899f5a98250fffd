"""What Postgres' errors mean, alike for scripts, changes of tables and copies."""

import asyncpg

# Lock timeout, deadlock, not serializable.
BUSY = frozenset({"55P03", "40P01", "40001"})


def is_busy(error: asyncpg.PostgresError) -> bool:
    """Whether others were in the way, so that the same may pass a moment later."""
    return error.sqlstate in BUSY or is_crossed(error)


def is_crossed(error: asyncpg.PostgresError) -> bool:
    """Whether two transactions changed one object's catalogue row; it has no state of its own."""
    return error.sqlstate == "XX000" and "concurrently" in str(error.args[0])
