"""The door to a table: found by name among the customer's own, or 404."""

from typing import Annotated

from fastapi import Depends, Path, Query

from undercroft.data.tables import queries
from undercroft.data.tables.queries import Table
from undercroft.foundation.http import Session

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


ExistingTable = Annotated[Table, Depends(_load)]
# With `storage.objects`, `storage.buckets`, `realtime.messages`, whose policies are customers' too.
ProtectedTable = Annotated[Table, Depends(_load_for_policies)]
