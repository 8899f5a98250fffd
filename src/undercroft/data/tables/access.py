"""The door to a table: found by name among the customer's own, or 404."""

from typing import Annotated

from fastapi import Depends, Path, Query

from undercroft.data.tables import queries
from undercroft.data.tables.errors import PoliciesOfPlatform
from undercroft.data.tables.queries import Table
from undercroft.foundation.http import CurrentActor, Session

OF_PLATFORM = frozenset({"storage", "realtime"})
SchemaName = Annotated[
    str, Query(alias="schema", max_length=63, description="Schema of the table.")
]


async def _load(
    session: Session,
    table: Annotated[str, Path(max_length=63)],
    schema: SchemaName = "public",
) -> Table:
    return await queries.get_table(session, schema, table)


async def _load_for_policies(
    session: Session,
    table: Annotated[str, Path(max_length=63)],
    schema: SchemaName = "public",
) -> Table:
    return await queries.get_table_for_policies(session, schema, table)


async def _load_to_change_policies(
    table: Annotated[Table, Depends(_load_for_policies)], actor: CurrentActor
) -> Table:
    """Postgres runs parts of an expression while it reads it, and these tables' owner is us.

    A domain's check in a literal would so run with the platform's rights.
    """
    if table.schema in OF_PLATFORM and not actor.is_superuser:
        raise PoliciesOfPlatform(table.name)
    return table


ExistingTable = Annotated[Table, Depends(_load)]
# With `storage.objects`, `storage.buckets`, `realtime.messages`, whose policies are customers' too.
ProtectedTable = Annotated[Table, Depends(_load_for_policies)]
TableToProtect = Annotated[Table, Depends(_load_to_change_policies)]
