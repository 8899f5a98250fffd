"""From Postgres' text form of a value to the JSON that a row query answers.

What `to_json` does with common types is done here, digit for digit. The rest (arrays, composites,
types with a cast of their own) Postgres converts itself, a batch at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

BOOL, JSON, JSONB = 16, 114, 3802
NUMBERS = frozenset({20, 21, 23, 700, 701, 1700})
MOMENTS = frozenset({1114, 1184})

# A domain is what it is made of; asked for are the kinds that `to_json` does not print as text.
TYPES = """
    WITH RECURSIVE base (asked, oid) AS (
        SELECT oid, oid FROM pg_type WHERE oid = ANY ($1::oid[])
        UNION ALL
        SELECT base.asked, t.typbasetype FROM base JOIN pg_type t ON t.oid = base.oid
         WHERE t.typtype = 'd'
    )
    SELECT base.asked, t.oid, format_type(base.asked, NULL) AS name,
           (SELECT typname::text FROM pg_type WHERE oid = base.asked) AS label,
           t.typcategory = 'A' OR t.typtype = 'c' OR EXISTS (
               SELECT FROM pg_cast c
                WHERE c.castsource = t.oid AND c.casttarget = 'json'::regtype
                  AND c.castfunc <> 0 AND t.oid >= 16384) AS asks
      FROM base JOIN pg_type t ON t.oid = base.oid
     WHERE t.typtype <> 'd'
"""
KEPT_TEXT = 25


@dataclass(frozen=True, slots=True)
class ValueType:
    """`base` decides how a value is written; `name` is the type as SQL calls it.

    `label` is the catalogue's own name for it (`int8`), by which clients know it.
    """

    base: int
    name: str
    label: str
    asks: bool = False


async def read_types(
    connection: "asyncpg.Connection[Any]", oids: Sequence[int]
) -> dict[int, ValueType]:
    """The types with these oids; one that is gone meanwhile counts as text."""
    rows = await connection.fetch(TYPES, list(oids))
    found = {
        row["asked"]: ValueType(row["oid"], row["name"], row["label"], row["asks"]) for row in rows
    }
    return {oid: found.get(oid, ValueType(KEPT_TEXT, "text", "text")) for oid in oids}


def as_json_text(value: str | None, base: int) -> str:
    """JSON for a value of a type that needs no asking."""
    if value is None:
        return "null"
    if base in NUMBERS:
        return value if value[-1].isdigit() else f'"{value}"'  # NaN and Infinity are no numbers
    if base == BOOL:
        return "true" if value == "t" else "false"
    if base in {JSON, JSONB}:
        return value
    if base in MOMENTS:
        value = _iso(value)
    return orjson.dumps(value).decode()


async def ask_for_json(
    connection: "asyncpg.Connection[Any]", type_name: str, values: Sequence[str]
) -> list[str]:
    """Have Postgres convert values of one type; as text where it no longer can."""
    statement = f"SELECT to_json(v::{type_name})::text FROM unnest($1::text[]) AS v"  # noqa: S608 - a name Postgres gave us
    try:
        rows = await connection.fetch(statement, list(values))
    except asyncpg.PostgresError:
        return [orjson.dumps(value).decode() for value in values]
    return [row[0] for row in rows]


def _iso(value: str) -> str:
    """`2026-11-22 03:00:00+00` as `2026-11-22T03:00:00+00:00`; the session's zone is UTC."""
    era = " BC" if value.endswith(" BC") else ""
    moment = value.removesuffix(" BC").replace(" ", "T", 1)
    return f"{moment}:00{era}" if moment.endswith("+00") else moment + era
