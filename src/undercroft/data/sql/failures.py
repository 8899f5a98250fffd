"""Postgres' refusals as problems that say where in the script they happened."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from undercroft.data.failures import is_crossed
from undercroft.data.sql.errors import SqlConflict, SqlFailed
from undercroft.data.sql.script import Statement, place
from undercroft.foundation.problems import Problem

LONGEST_TEXT = 4000
# Rows in the way, others in the way, names in the way.
CONFLICTS = ("23", "40", "55P03", "42P07", "42710", "42701", "42723", "42P06", "42P04")
# The server is going, full or broken: not the script's doing, and a 503 by `problem_for`.
# An internal error that is no broken file is one that the statement ran into, or raised.
AWAY = ("08", "53", "57P02", "57P03", "57P05", "58", "XX001", "XX002")
FIELDS = {
    "details": "detail",
    "hint": "hint",
    "context": "context",
    "schema": "schema_name",
    "table": "table_name",
    "column_name": "column_name",
    "constraint": "constraint_name",
}


def failed(
    query: str, statements: Sequence[Statement], number: int | None, error: asyncpg.PostgresError
) -> Problem | None:
    """The problem for an error of statement `number` (None: the commit at the end).

    None for what is not the script's doing.
    """
    state = error.sqlstate or "XX000"
    crossed = is_crossed(error)
    if state.startswith(AWAY) and not crossed:
        return None
    members: dict[str, Any] = {"sqlstate": state, "message": _cut(str(error.args[0]))}
    members["statement"] = number
    for member, attribute in FIELDS.items():
        if value := getattr(error, attribute, None):
            members[member] = _cut(str(value))
    if number is not None:
        offset = statements[number].start
        if position := getattr(error, "position", None):
            offset += int(position) - 1
        members |= place(query, min(offset, len(query)))
    in_the_way = crossed or state.startswith(CONFLICTS)
    return (SqlConflict if in_the_way else SqlFailed)(members)


def timed_out(query: str, statements: Sequence[Statement], number: int) -> Problem:
    """The script lifted the server's own limit, or ended none of its statements in time."""
    running = min(number, len(statements) - 1)
    members: dict[str, Any] = {
        "sqlstate": "57014",
        "message": "canceling the script due to its timeout",
        "statement": running,
    }
    return SqlFailed(members | place(query, statements[running].start))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
