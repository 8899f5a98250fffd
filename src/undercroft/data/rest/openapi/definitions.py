"""The definitions of the document: each relation with its columns."""

from typing import Any

import orjson

from undercroft.data.rest.openapi.values import (
    Json,
    json_format,
    json_items,
    json_type,
    without_none,
)
from undercroft.data.schema.model import Cardinality, Catalog, Column, Relationship, Table


def define_table(catalog: Catalog, table: Table) -> Json:
    required = [column.name for column in table.columns.values() if not column.nullable]
    return without_none(
        {
            "description": table.description,
            "type": "object",
            "properties": {
                name: _property(catalog, table, column) for name, column in table.columns.items()
            },
            "required": required or None,
        }
    )


def _property(catalog: Catalog, table: Table, column: Column) -> Json:
    return without_none(
        {
            "default": _default(column),
            "description": _column_description(catalog, table, column),
            "enum": list(column.enum) or None,
            "format": json_format(column.type),
            "maxLength": column.max_length,
            "type": json_type(column.type),
            "items": json_items(column.type),
        }
    )


def _default(column: Column) -> Any:
    """Give a default that is a constant; an expression has no place in the document."""
    if column.default is None:
        return None
    if json_type(column.type) == "string":
        suffix = f"::{column.type}"
        text = column.default
        return text.removesuffix(suffix).strip("'") if text.endswith(suffix) else text
    try:
        return orjson.loads(column.default)
    except orjson.JSONDecodeError:
        return None


def _column_description(catalog: Catalog, table: Table, column: Column) -> str | None:
    notes = []
    if column.name in table.primary_key:
        notes.append("This is a Primary Key.<pk/>")
    target = _foreign_column(catalog, table, column)
    if target is not None:
        other, key = target
        notes.append(
            f"This is a Foreign Key to `{other}.{key}`.<fk table='{other}' column='{key}'/>"
        )
    if not notes:
        return column.description
    own = f"{column.description}\n\n" if column.description else ""
    return own + "\n".join(["Note:", *notes])


def _foreign_column(catalog: Catalog, table: Table, column: Column) -> tuple[str, str] | None:
    known = catalog.relationships.get((table.name, table.name.schema), ())
    direct = [found for found in known if isinstance(found, Relationship)]
    for found in sorted(direct, key=lambda item: item.foreign_is_view):
        references = found.cardinality is Cardinality.MANY_TO_ONE or (
            found.cardinality is Cardinality.ONE_TO_ONE and not found.inverse
        )
        if references and [own for own, _ in found.columns] == [column.name]:
            return found.foreign_table.name, found.columns[0][1]
    return None
