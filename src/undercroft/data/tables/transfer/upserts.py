"""Files whose rows may be in the table already: copied beside it, then inserted or merged.

COPY knows no conflicts. What stands beside the table has its columns and their types, without its
constraints and defaults, and is gone with the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from undercroft.data.sql_text import quote
from undercroft.data.tables.errors import StatementRefused
from undercroft.data.tables.queries import Table

Resolution = Literal["merge", "ignore"]
TWICE = "21000"  # cardinality_violation


@dataclass(frozen=True, slots=True)
class Upsert:
    """By which columns a row is known, and whether the file's row changes it."""

    keys: Sequence[str]
    resolution: Resolution


async def stand_beside(
    connection: "asyncpg.Connection[Any]", table: Table, columns: Sequence[str]
) -> Table:
    """Make the empty table to copy into."""
    beside = Table(0, "pg_temp", "undercroft_import")
    shape = f"SELECT {_listed(columns)} FROM {table.quoted}"  # noqa: S608 - quoted names
    await connection.execute(
        f"CREATE TEMPORARY TABLE {beside.quoted} ON COMMIT DROP AS {shape} WITH NO DATA"
    )
    return beside


async def move(
    connection: "asyncpg.Connection[Any]",
    beside: Table,
    table: Table,
    columns: Sequence[str],
    upsert: Upsert,
) -> int:
    """Bring what was copied into the table; the number of rows inserted or changed."""
    listed = _listed(columns)
    # As COPY does, an identity column takes what the file says.
    statement = (
        f"INSERT INTO {table.quoted} ({listed}) OVERRIDING SYSTEM VALUE"  # noqa: S608 - quoted names
        f" SELECT {listed} FROM {beside.quoted}"
        f" ON CONFLICT ({_listed(upsert.keys)}) DO {_action(columns, upsert)}"
    )
    try:
        status = await connection.execute(statement)
    except asyncpg.PostgresError as error:
        if error.sqlstate != TWICE:
            raise
        names = ", ".join(upsert.keys)
        raise StatementRefused(TWICE, f"Two rows of the file have the same {names}.") from error
    return int(status.rpartition(" ")[2])


def _action(columns: Sequence[str], upsert: Upsert) -> str:
    changed = [quote(name) for name in columns if name not in upsert.keys]
    if upsert.resolution == "ignore" or not changed:
        return "NOTHING"
    return "UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in changed)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in names)
