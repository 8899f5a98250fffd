"""Plans a write: the columns it sets, what it may touch, and what the read around it needs."""

from dataclasses import dataclass
from typing import NamedTuple

from undercroft.data.rest.errors import RestError, column_not_found
from undercroft.data.rest.plan.fields import Fields
from undercroft.data.rest.plan.tree import Combine, Compare, Resolved
from undercroft.data.rest.query_string import Shape
from undercroft.data.rest.syntax.ast import Condition, Filter
from undercroft.data.rest.syntax.filters import parse_key, parse_logic_key
from undercroft.data.rest.syntax.select import parse_columns
from undercroft.data.schema.model import Catalog, QualifiedName, Table


class BodyColumn(NamedTuple):
    """A column or argument read from the JSON body; `transform` reads a domain from its JSON."""

    name: str
    type: str
    transform: str | None = None
    default: str | None = None


@dataclass(frozen=True, slots=True)
class BodyShape:
    """What is known of a body beside its text, which is the value at `slot`."""

    columns: tuple[str, ...]
    is_object: bool
    slot: int


@dataclass(frozen=True, slots=True)
class Body:
    """A body ready to be read as rows. `defaults`: a missing key means the column's default."""

    columns: tuple[BodyColumn, ...]
    is_object: bool
    slot: int
    defaults: bool = False


@dataclass(frozen=True, slots=True)
class Insert:
    """`on_conflict` with `merge` updates, without it leaves the row alone.

    `matching` are the conditions of a PUT that the body has to meet as well.
    """

    table: QualifiedName
    body: Body
    on_conflict: tuple[str, ...] = ()
    merge: bool = False
    matching: tuple[Resolved, ...] = ()
    returning: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Set the columns of the body on every row that meets the conditions."""

    table: QualifiedName
    body: Body
    conditions: tuple[Resolved, ...] = ()
    returning: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove every row that meets the conditions."""

    table: QualifiedName
    conditions: tuple[Resolved, ...] = ()
    returning: tuple[str, ...] = ()


Write = Insert | Update | Delete


def plan_body(catalog: Catalog, table: Table, shape: BodyShape, *, defaults: bool) -> Body:
    """Give each column of the body its type; one the table does not have is refused."""
    columns = tuple(_body_column(catalog, table, name) for name in shape.columns)
    return Body(columns, shape.is_object, shape.slot, defaults)


def _body_column(catalog: Catalog, table: Table, name: str) -> BodyColumn:
    column = table.columns.get(name)
    if column is None:
        raise column_not_found(table.name.name, name)
    transform = catalog.representations.get(("json", column.nominal_type))
    column_type = column.nominal_type if transform is None else "json"
    return BodyColumn(name, column_type, transform, column.default)


def root_conditions(catalog: Catalog, table: Table, shape: Shape) -> tuple[Resolved, ...]:
    """Resolve the filters on the written relation itself; those on embeds are the read's."""
    fields = Fields(catalog, table.name)
    found: list[Resolved] = []
    for item in shape.filters:
        path, field = parse_key(item.key)
        if not path:
            found.append(_resolve(fields, Filter(field, item.operation, item.slot)))
    found += [
        _resolve(fields, item.tree) for item in shape.logic if not parse_logic_key(item.key)[0]
    ]
    return tuple(found)


def _resolve(fields: Fields, condition: Condition) -> Resolved:
    if isinstance(condition, Filter):
        compared = fields.compared(condition.field)
        return Compare(compared, condition.operation, condition.slot)
    parts = tuple(_resolve(fields, part) for part in condition.conditions)
    return Combine(condition.operator, condition.negated, parts)


def plan_insert(
    table: Table,
    shape: Shape,
    body: Body,
    *,
    resolution: str | None,
    returning: tuple[str, ...],
) -> Insert:
    """Plan a POST. Without `on_conflict=` a resolution is about the primary key."""
    conflict: tuple[str, ...] = ()
    if resolution is not None:
        conflict = (
            table.primary_key
            if shape.on_conflict is None
            else parse_columns(shape.on_conflict, "on_conflict")
        )
    merge = resolution == "merge-duplicates"
    return Insert(table.name, body, conflict, merge=merge, returning=returning)


def plan_upsert(
    catalog: Catalog, table: Table, shape: Shape, body: Body, *, returning: tuple[str, ...]
) -> Insert:
    """Plan a PUT: one row, named by an `eq` filter on each column of the primary key."""
    keys = {item.key for item in shape.filters}
    by_equality = all(
        item.operation.operator == "eq"
        and not item.operation.negated
        and item.operation.quantifier is None
        for item in shape.filters
    )
    if shape.logic or not table.primary_key or keys != set(table.primary_key) or not by_equality:
        raise RestError(
            405,
            "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators",
        )
    matching = root_conditions(catalog, table, shape)
    return Insert(
        table.name, body, table.primary_key, merge=True, matching=matching, returning=returning
    )
