"""What each table holds about people. Every wing declares its own (`wing.py`), and every app.

What an app declared is kept in the database too, for the time when its code is not there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# As apps are switched on, what comes later refers to what came before.
KEPT = text("""
    SELECT part
      FROM undercroft.apps, jsonb_array_elements(personal) WITH ORDINALITY AS parts (part, place)
     WHERE part ->> 'table' <> ALL (:declared) AND to_regclass(part ->> 'table') IS NOT NULL
     ORDER BY installed_at DESC, name, place
""")


@dataclass(frozen=True, slots=True)
class PersonalData:
    """A table that refers to accounts: what people may take along, and what erasure does to it.

    `export` selects one JSON object a row, shown under `name`; `erase` deletes or scrubs. Both are
    SQL over `:id`, the account's, and `:addresses`, all that it is named by. Rows that stay need
    `kept_because`.
    """

    table: str
    name: str | None = None
    export: str | None = None
    erase: str | None = None
    kept_because: str | None = None

    def __post_init__(self) -> None:
        if (self.erase is None) == (self.kept_because is None):
            raise ValueError(f"{self.table}: either `erase` or `kept_because`")
        if (self.name is None) != (self.export is None):
            raise ValueError(f"{self.table}: `name` and `export` go together")


async def with_apps_switched_off(
    session: AsyncSession, declared: Sequence[PersonalData]
) -> Sequence[PersonalData]:
    """What is `declared` by the code that runs, behind what apps without theirs left in tables.

    They said it at the last `undercroft db upgrade` that knew them, and nothing has changed those
    tables since.
    """
    tables = [part.table for part in declared]
    kept = await session.scalars(KEPT, {"declared": tables})
    return (*(PersonalData(**part) for part in kept), *declared)
