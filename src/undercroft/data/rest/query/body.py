"""SQL that reads rows or arguments out of a JSON body."""

from undercroft.data.rest.plan.write import Body, BodyColumn
from undercroft.data.rest.query.sql import comma, ident, literal, slot

# ruff: noqa: S608 - all SQL here is made of quoted names and slots


def from_body(body: Body, *, only_first: bool = False) -> str:
    """Write a FROM list that ends in `pgrst_body`, one row for each row of the body."""
    kind = "jsonb" if body.defaults else "json"
    source = f"(SELECT {slot(body.slot)}::{kind} AS json_data) pgrst_payload, "
    rows = "pgrst_payload.json_data"
    if body.defaults:
        source += f"LATERAL ({_with_defaults(body)}) pgrst_defaults, "
        rows = "pgrst_defaults.val"
    limit = " LIMIT 1" if only_first else ""
    fields = comma([_read(column) for column in body.columns])
    return f"{source}LATERAL (SELECT {fields} FROM {_rows(body, kind, rows)}{limit}) pgrst_body"


def _rows(body: Body, kind: str, rows: str) -> str:
    if not body.columns:  # {} is one row of nothing, [{}, {}] two
        return "(VALUES (1)) _" if body.is_object else f"{kind}_array_elements({rows}) _"
    types = comma([f"{ident(column.name)} {column.type}" for column in body.columns])
    function = f"{kind}_to_record" if body.is_object else f"{kind}_to_recordset"
    return f"{function}({rows}) AS _({types})"


def _read(column: BodyColumn) -> str:
    name = ident(column.name)
    return f"{column.transform}({name}) AS {name}" if column.transform else name


def _with_defaults(body: Body) -> str:
    pairs = [
        f"{literal(column.name)}, {column.default}"
        for column in body.columns
        if column.default is not None
    ]
    defaults = f"jsonb_build_object({comma(pairs)})"
    if body.is_object:
        return f"SELECT {defaults} || pgrst_payload.json_data AS val"
    return (
        f"SELECT jsonb_agg({defaults} || elem) AS val"
        " FROM jsonb_array_elements(pgrst_payload.json_data) elem"
    )
