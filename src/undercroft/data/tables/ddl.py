"""Runs the statements that change a schema, and says what went wrong in our words.

One place decides how long a change may wait for others, where its names are looked up, and which
of Postgres' refusals the caller may read.
"""

from collections.abc import Collection, Sequence

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.developer import run_as_developer
from undercroft.data.failures import is_busy
from undercroft.data.sql_text import quote
from undercroft.data.tables.errors import NameTaken, StatementRefused, TableBusy, TableExists
from undercroft.foundation.db import notify
from undercroft.foundation.problems import Problem

RELOAD_CHANNEL = "pgrst"
RELOAD = "reload schema"
# A change that waits for a lock makes everybody who comes after it wait too, readers included.
LONGEST_WAIT = "3s"
# Names in expressions are found where /rest/v1 finds them.
COMMON_SCHEMAS = ("public", "extensions")

OUR_POLICIES = text("SELECT undercroft.change_our_policies(:statement, :wait)")

TAKEN = frozenset({"42P07", "42710", "42701"})
TAKEN_TABLE = frozenset({"42P07", "42710"})
DUPLICATE = "23505"
# What is named is not there (any more): table, column, constraint or policy.
GONE = frozenset({"42P01", "42703", "42704"})
# Not the statement's fault: connection, resources, cancelled, system, broken files, a transaction
# that failed before.
NOT_THEIRS = ("08", "53", "57", "58", "XX001", "XX002", "F0", "25P")
# "Dependent objects still exist": its detail names them, and no rows.
IN_USE = "2BP01"


async def run_ddl(
    session: AsyncSession,
    statements: Sequence[str],
    *,
    schema: str,
    taken: str | None = None,
    taken_table: bool = False,
    gone: Problem | None = None,
    as_platform: bool = False,
) -> None:
    """Run DDL and have every node read the schema anew when it commits.

    `as_platform` is for policies of our own tables; every name in them is written in full.

    Raises `NameTaken` (`TableExists` with `taken_table`) naming `taken` for a duplicate, `gone` for
    what somebody dropped since it was looked for, `TableBusy` instead of waiting long,
    `StatementRefused` for what Postgres does not accept.
    """
    if not statements:
        return
    try:
        await _run(session, statements, schema, as_platform=as_platform)
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if not isinstance(cause, asyncpg.PostgresError):
            raise
        state = cause.sqlstate or ""
        if taken and _is_taken(cause, TAKEN_TABLE if taken_table else TAKEN):
            raise (TableExists if taken_table else NameTaken)(taken) from error
        if gone is not None and state in GONE:
            raise gone from error
        if problem := refusal(cause):
            raise problem from error
        raise
    await notify(session, RELOAD_CHANNEL, RELOAD)


def refusal(error: asyncpg.PostgresError) -> Problem | None:
    """What the caller is told of a refused statement; None for what is not its fault."""
    if is_busy(error):
        return TableBusy()
    state = error.sqlstate or ""
    if state.startswith(NOT_THEIRS):
        return None
    hint: str | None = getattr(error, "hint", None)
    details: str | None = getattr(error, "detail", None) if state == IN_USE else None
    return StatementRefused(state, str(error.args[0]), hint=hint, details=details)


def _is_taken(error: asyncpg.PostgresError, states: Collection[str]) -> bool:
    """Also when both were made at once: then an index of the catalogue refuses the second."""
    by_catalogue = getattr(error, "schema_name", None) == "pg_catalog"
    return error.sqlstate in states or (error.sqlstate == DUPLICATE and by_catalogue)


def search_path(schema: str) -> str:
    """Temporary tables come last: they must not stand in for what is there."""
    names = dict.fromkeys((schema, *COMMON_SCHEMAS))
    return ", ".join([*(quote(name) for name in names), "pg_temp"])


async def _run(
    session: AsyncSession, statements: Sequence[str], schema: str, *, as_platform: bool
) -> None:
    path = search_path(schema)
    for statement in statements:
        if as_platform:
            await session.execute(OUR_POLICIES, {"statement": statement, "wait": LONGEST_WAIT})
        else:
            await run_as_developer(session, statement, path=path, longest_wait=LONGEST_WAIT)
