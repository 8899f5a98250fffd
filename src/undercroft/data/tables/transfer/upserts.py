"""Files whose rows may be in the table already: copied beside it, then inserted or merged.

COPY knows no conflicts. What stands beside the table has its columns and their types, without its
constraints and defaults, and is gone with the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from undercroft.data.sql_text import quote
from undercroft.data.tables.queries import Table

Resolution = Literal["merge", "ignore"]
TWICE = "21000"  # cardinality_violation
# What a row is refused for: its values, a key or a check, a view's check, code that raised.
OF_ROWS = ("22", "23", "44", "P0")
# Foreign and unique keys: the detail names values that are in the file.
OF_THE_FILE = frozenset({"23503", "23505"})


@dataclass(frozen=True, slots=True)
class Upsert:
    """By which columns a row is known, and whether the file's row changes it."""

    keys: Sequence[str]
    resolution: Resolution


class RowRefused(Exception):  # noqa: N818 - as the problems, one of which it becomes
    """The first row of a file that cannot be brought into the table, counted from 1."""

    def __init__(self, row: int, sqlstate: str, reason: str) -> None:
        super().__init__(reason)
        self.row, self.sqlstate, self.reason = row, sqlstate, reason


def told(error: asyncpg.PostgresError) -> str:
    """What Postgres said, with the key it was about."""
    reason, detail = str(error.args[0]), getattr(error, "detail", None)
    return f"{reason}: {detail}" if detail and error.sqlstate in OF_THE_FILE else reason


async def stand_beside(
    connection: "asyncpg.Connection[Any]", table: Table, columns: Sequence[str]
) -> Table:
    """Make the empty table to copy into."""
    beside = Table(0, "pg_temp", "undercroft_import")
    shape = f"SELECT {_listed(columns)} FROM {table.quoted}"  # noqa: S608 - quoted names
    await connection.execute(
        f"CREATE TEMPORARY TABLE {beside.quoted} ON COMMIT DROP AS {shape} WITH NO DATA"
    )
    number = quote(_unlike("row", columns))
    await connection.execute(
        f"ALTER TABLE {beside.quoted}"
        f" ADD COLUMN {number} bigint GENERATED ALWAYS AS IDENTITY (CACHE 10000)"
    )
    return beside


async def move(
    connection: "asyncpg.Connection[Any]",
    beside: Table,
    table: Table,
    columns: Sequence[str],
    upsert: Upsert,
) -> int:
    """Bring what was copied into the table; the number of rows inserted or changed.

    Raises `RowRefused` for a row that the table does not take.
    """
    listed, number = _listed(columns), quote(_unlike("row", columns))
    # As COPY does, an identity column takes what the file says.
    statement = (
        f"INSERT INTO {table.quoted} ({listed}) OVERRIDING SYSTEM VALUE"  # noqa: S608 - quoted names
        f" SELECT {listed} FROM {beside.quoted} WHERE {number} > $1 AND {number} <= $2"
        f" ON CONFLICT ({_listed(upsert.keys)}) DO {_action(columns, upsert)}"
    )
    newest = f"SELECT coalesce(max({number}), 0) FROM {beside.quoted}"  # noqa: S608 - as above
    last = await connection.fetchval(newest)
    try:
        return await _bring(connection, statement, 0, int(last))
    except asyncpg.PostgresError as error:
        state = error.sqlstate or ""
        if state == TWICE:
            row = await connection.fetchval(_second(beside, columns, upsert.keys))
            names = ", ".join(upsert.keys)
            reason = f"Two rows of the file have the same {names}."
        elif state.startswith(OF_ROWS):
            row = await _first_refused(connection, statement, int(last))
            reason = told(error)
        else:
            raise
        raise RowRefused(int(row), state, reason) from error


async def _bring(
    connection: "asyncpg.Connection[Any]", statement: str, after: int, until: int
) -> int:
    async with connection.transaction():
        status: str = await connection.execute(statement, after, until)
    return int(status.rpartition(" ")[2])


async def _first_refused(connection: "asyncpg.Connection[Any]", statement: str, last: int) -> int:
    """Halve what is left until one row is.

    What the table took stays for the rows after it, so that the search costs about one import.
    """
    taken, refused = 0, last
    while refused - taken > 1:
        middle = (taken + refused) // 2
        try:
            await _bring(connection, statement, taken, middle)
            taken = middle
        except asyncpg.PostgresError:
            refused = middle
    return refused


def _second(beside: Table, columns: Sequence[str], keys: Sequence[str]) -> str:
    """The first row whose key another had before it; an unknown key is nobody's."""
    number, nth = quote(_unlike("row", columns)), quote(_unlike("nth", columns))
    known = " AND ".join(f"{quote(name)} IS NOT NULL" for name in keys)
    window = f"PARTITION BY {_listed(keys)} ORDER BY {number}"
    rows = f"SELECT *, row_number() OVER ({window}) AS {nth} FROM {beside.quoted}"  # noqa: S608
    first = f"coalesce(min({number}) FILTER (WHERE {known}), min({number}))"
    return f"SELECT {first} FROM ({rows}) AS counted WHERE {nth} > 1"  # noqa: S608


def _unlike(name: str, columns: Sequence[str]) -> str:
    """A name like this one that no column of the file has."""
    while name in columns:
        name += "_"
    return name


def _action(columns: Sequence[str], upsert: Upsert) -> str:
    changed = [quote(name) for name in columns if name not in upsert.keys]
    if upsert.resolution == "ignore" or not changed:
        return "NOTHING"
    return "UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in changed)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in names)
