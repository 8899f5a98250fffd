"""What a plpgsql body says to the database: Postgres itself reads it only when it runs.

Its static statements are taken out by the language's own parser and read by Postgres one by one,
with NULL for the variables; of an assignment, what is assigned. Text that EXECUTE runs is not
known before.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
from pglast import ast, parse_sql
from pglast.parser import ParseError, parse_plpgsql_json, scan
from pglast.stream import RawStream
from pglast.visitors import Visitor
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.developer import run_as_developer
from undercroft.data.failures import is_busy
from undercroft.data.functions.text import Described
from undercroft.data.tables.ddl import LONGEST_WAIT, search_path

MOST_STATEMENTS = 200
# `parseMode`; the number of an assignment is that of the names on its left.
STATEMENT, EXPRESSION, ASSIGNMENTS = 0, 2, (3, 4, 5)
PREPARED = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
MAKING = (ast.CreateStmt, ast.CreateTableAsStmt)
# Unknown tables, columns and schemas. Types of variables are not known here, so that what depends
# on them (which function, which operator) is no news.
TELLING = frozenset({"42P01", "42703", "3F000"})
OWN_PATH = text("""
    SELECT nullif(substr(setting, length('search_path=') + 1), '""')
      FROM pg_proc p, unnest(p.proconfig) AS setting
     WHERE p.oid = :oid AND setting LIKE 'search\\_path=%'
""")
OF_TRIGGERS = frozenset({"new", "old"})


@dataclass(frozen=True, slots=True)
class Embedded:
    """A statement of a body; `line` counts from the body's first."""

    line: int
    sql: str


def embedded(source: str, name: str) -> list[Embedded]:
    """The static statements of a function called `name`, none where it makes tables of its own."""
    try:
        parsed = json.loads(parse_plpgsql_json(source))
    except (ParseError, ValueError, RecursionError):
        return []
    function = parsed[0]["PLpgSQL_function"] if parsed else {}
    # Variables may be written after the function's name or a block's label.
    variables = _variables(function.get("datums", [])) | OF_TRIGGERS | {name, *_labels(function)}
    found = []
    for line, mode, written in _expressions(function, 1):
        try:
            statements = parse_sql(_statement(mode, written))
        except (ParseError, RecursionError):
            continue
        if len(statements) != 1 or not isinstance(statements[0].stmt, PREPARED):
            if any(isinstance(one.stmt, MAKING) for one in statements):
                return []
            continue
        _Variables(variables)(statements[0])
        found.append(Embedded(line, RawStream()(statements[0])))
    return found[:MOST_STATEMENTS]


async def unknown_names(
    session: AsyncSession, oid: int, source: str, described: Described
) -> list[str]:
    """A sentence for each statement that names what is not there, as the developer sees it.

    The function exists: names are found on its own path, where it has one. Where a table is
    locked, what comes after is not looked at.
    """
    path = await session.scalar(OWN_PATH, {"oid": oid}) or search_path(described.schema)
    sentences = []
    for one in embedded(source, described.name):
        try:
            async with session.begin_nested():
                await run_as_developer(
                    session,
                    f"PREPARE undercroft_probe AS {one.sql}; DEALLOCATE undercroft_probe",
                    path=path,
                    longest_wait=LONGEST_WAIT,
                )
        except DBAPIError as error:
            cause = error.orig.__cause__ if error.orig else None
            if not isinstance(cause, asyncpg.PostgresError):
                continue
            if is_busy(cause):
                break  # the next would wait as long
            if cause.sqlstate in TELLING:
                sentences.append(f"Line {one.line}: {cause.args[0]}")
    return sentences


class _Variables(Visitor):
    """Puts NULL in the place of variables and their fields."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def visit_ColumnRef(self, _ancestors: Any, node: ast.ColumnRef) -> Any:  # noqa: N802 - pglast's
        first = node.fields[0] if node.fields else None
        if isinstance(first, ast.String) and first.sval in self._names:
            return ast.A_Const(isnull=True)
        return None


def _variables(datums: list[dict[str, Any]]) -> frozenset[str]:
    named = (one for datum in datums for one in datum.values())
    return frozenset(str(one["refname"]) for one in named if "refname" in one)


def _labels(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _labels(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "label" and isinstance(value, str):
                yield value
            elif isinstance(value, dict | list):
                yield from _labels(value)


def _statement(mode: int, written: str) -> str:
    if mode == STATEMENT:
        return written
    return f"SELECT {_assigned(written) if mode in ASSIGNMENTS else written}"


def _assigned(written: str) -> str:
    """What follows the sign of an assignment; what is in brackets before it is a subscript."""
    depth = 0
    for token in scan(written):
        if depth == 0 and token.name in ("COLON_EQUALS", "ASCII_61"):
            return written[token.end + 1 :]
        depth += (token.name == "ASCII_91") - (token.name == "ASCII_93")
    return written


def _expressions(node: Any, line: int) -> Iterator[tuple[int, int, str]]:
    """(line, mode, text) of every expression, in the order of the text."""
    if isinstance(node, list):
        for item in node:
            yield from _expressions(item, line)
    elif isinstance(node, dict):
        line = node.get("lineno", line)
        mode = node.get("parseMode")
        if mode in (STATEMENT, EXPRESSION, *ASSIGNMENTS) and "query" in node:
            yield line, mode, node["query"]
        for value in node.values():
            if isinstance(value, dict | list):
                yield from _expressions(value, line)
