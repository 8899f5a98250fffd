"""Changes of tables that webhooks ask for: which table, which kinds, which rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    model_validator,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.realtime.changes import (
    Change,
    ChangeType,
    forget_consumer,
    register_consumer,
    unwatch_table,
    watch_table,
)
from undercroft.webhooks.errors import WatchedColumnUnknown, WatchedTableUnknown

CONSUMER = "webhooks"
Operation = Literal["insert", "update", "delete", "truncate"]
EVENT_TYPES: Mapping[ChangeType, str] = {
    ChangeType.INSERT: "row.inserted",
    ChangeType.UPDATE: "row.updated",
    ChangeType.DELETE: "row.deleted",
    ChangeType.TRUNCATE: "table.truncated",
}
MISSED = "changes.missed"
Value = str | StrictInt | StrictFloat | StrictBool

IN_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('webhooks:changes', 0))")
EXPOSED = text("SELECT undercroft.is_exposed(:schema)")
HAS_COLUMN = text("""
    SELECT EXISTS (
        SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = :schema AND c.relname = :table AND a.attname = :column
           AND a.attnum > 0 AND NOT a.attisdropped)
""")
ASKED_FOR = text("""
    SELECT DISTINCT c ->> 'schema' AS schema, c ->> 'table' AS name
      FROM webhooks.webhooks w CROSS JOIN LATERAL jsonb_array_elements(w.changes) AS c
""")


class RowFilter(BaseModel):
    """Only rows with such a value; the new row is looked at, of a deleted one the old."""

    model_config = ConfigDict(extra="forbid")

    column: str = Field(min_length=1, max_length=63, examples=["status"])
    op: Literal["eq", "neq", "lt", "lte", "gt", "gte", "in"] = "eq"
    value: Value | list[Value | None] | None = Field(
        description="As the row has it in JSON; a list for `in`.", examples=["paid"]
    )

    @model_validator(mode="after")
    def _a_list_is_for_in(self) -> "RowFilter":
        if isinstance(self.value, list) != (self.op == "in"):
            message = "a list is for `in`, and `in` wants one"
            raise ValueError(message)
        return self

    def passes(self, row: Mapping[str, Any]) -> bool:
        if self.column not in row:
            return False
        found, wanted = row[self.column], self.value
        if isinstance(wanted, list):
            return any(_same(found, each) for each in wanted)
        if self.op in {"eq", "neq"}:
            return _same(found, wanted) == (self.op == "eq")
        if isinstance(found, str) != isinstance(wanted, str) or found is None or wanted is None:
            return False
        return bool(ORDERS[self.op](found, wanted))


class TableChanges(BaseModel):
    """Changes of one table."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    schema_: str = Field("public", alias="schema", min_length=1, max_length=63)
    table: str = Field(min_length=1, max_length=63, examples=["orders"])
    operations: list[Operation] = Field(
        default=["insert", "update", "delete"], min_length=1, max_length=4
    )
    filter: RowFilter | None = None

    @property
    def names(self) -> tuple[str, str]:
        return (self.schema_, self.table)

    def wants(self, change: Change) -> bool:
        if self.names != (change.schema, change.table):
            return False
        if change.type.value.lower() not in self.operations:
            return False
        if self.filter is None:
            return True
        row = change.record if change.new is not None else change.old_record
        return row is None or self.filter.passes(row)


ORDERS = {
    "lt": lambda found, wanted: found < wanted,
    "lte": lambda found, wanted: found <= wanted,
    "gt": lambda found, wanted: found > wanted,
    "gte": lambda found, wanted: found >= wanted,
}


def _same(found: Any, wanted: Any) -> bool:
    # In Python True is 1; in a row it is not.
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


async def watch(session: AsyncSession, asked: Sequence[TableChanges]) -> None:
    """See that changes of these tables are logged and kept for us from this commit on.

    Raises `WatchedTableUnknown`, `WatchedColumnUnknown`, `TableNotWatchable`.
    """
    names = sorted({each.names for each in asked})
    if not names:
        return
    await session.execute(IN_TURN)
    for schema, table in names:
        if not await _watch(session, schema, table):
            raise WatchedTableUnknown(f"{schema}.{table}")
    for each in asked:
        await _check_filter(session, each)
    await register_consumer(session, CONSUMER)


async def unwatch(session: AsyncSession, left: Iterable[TableChanges]) -> None:
    """Stop what nobody asks for any more; call it after the webhook's row has changed.

    Raises `TableNotWatchable`.
    """
    names = {each.names for each in left}
    if not names:
        return
    await session.execute(IN_TURN)
    still = {(row.schema, row.name) for row in await session.execute(ASKED_FOR)}
    for schema, table in sorted(names - still):
        await unwatch_table(session, schema, table)
    if not still:
        await forget_consumer(session, CONSUMER)


async def _check_filter(session: AsyncSession, asked: TableChanges) -> None:
    if asked.filter is None:
        return
    names = {"schema": asked.schema_, "table": asked.table, "column": asked.filter.column}
    if not await session.scalar(HAS_COLUMN, names):
        raise WatchedColumnUnknown(f"{asked.schema_}.{asked.table}", asked.filter.column)


async def _watch(session: AsyncSession, schema: str, table: str) -> bool:
    if not await session.scalar(EXPOSED, {"schema": schema}):
        return False
    return await watch_table(session, schema, table)
