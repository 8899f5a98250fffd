"""Which rows an export holds: the filters of the grid and of `/rest/v1`, as a condition in SQL.

COPY takes no parameters. The engine leaves slots where values belong; the server itself writes the
values as constants, in the transaction that copies. The driver's own way would also put them where
a name or a key of JSON reads `$1`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from undercroft.data.rest import RestError
from undercroft.data.rest.plan.read import ReadRequest, plan_read
from undercroft.data.rest.query.fields import condition
from undercroft.data.rest.query.read import filter_columns
from undercroft.data.rest.query.sql import slot
from undercroft.data.rest.query_string import QueryString, read_query
from undercroft.data.schema.model import Catalog, QualifiedName
from undercroft.data.tables.errors import ColumnNotFound
from undercroft.data.tables.queries import Table
from undercroft.data.tables.rows.errors import RowsRefused

# Parameters of the export, and those of a grid that shows the same rows page by page.
OURS = frozenset(
    {"schema", "format", "columns", "as_caller", "filter_column", "filter_value"}
    | {"page", "page_size", "order_by", "past_row_security"}
)
QUOTED = """
    SELECT array(SELECT pg_catalog.quote_literal(value)
                   FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS given(value, n)
                  ORDER BY n)
"""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition with slots, and the values for them."""

    sql: str
    values: Sequence[str]

    async def written(self, connection: "asyncpg.Connection[Any]") -> str:
        """The condition with its values as constants."""
        constants = await connection.fetchval(QUOTED, list(self.values))
        sql = self.sql
        for index, constant in enumerate(constants):
            # No constant can hold a slot: its marker is NUL, which Postgres refuses in a text.
            sql = sql.replace(slot(index), constant)
        return sql


def plan_where(
    catalog: Catalog, table: Table, filters: Sequence[tuple[str, str]], types: Mapping[str, str]
) -> Where:
    """Raises `RowsRefused` for what is no filter, `ColumnNotFound` for other than columns.

    What else can be named like a column is a function, and would run with the owner's rights.
    """
    try:
        query = read_query(list(filters))
        _check_is_filter(query)
        name = QualifiedName(table.schema, table.name)
        node = plan_read(catalog, ReadRequest(name, query.shape, {}))
    except RestError as error:
        raise RowsRefused(error.code, error.message) from error
    for column in sorted(filter_columns(node)):
        if column not in types:
            raise ColumnNotFound(column)
    parts = [condition(table.quoted, item) for item in node.conditions]
    return Where(" AND ".join(parts), query.values)


def _check_is_filter(query: QueryString) -> None:
    shape = query.shape
    windows = query.windows or query.limit or query.offset
    if shape.select or shape.order or shape.on_conflict or windows:
        raise RestError(400, "PGRST100", "An export has filters and columns, but no other words.")
