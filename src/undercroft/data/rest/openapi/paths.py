"""The paths of the document, and the parameters they refer to."""

from collections.abc import Iterable, Mapping
from typing import Any

from undercroft.data.rest import media
from undercroft.data.rest.openapi.values import (
    Json,
    json_format,
    json_items,
    json_type,
    summary_of,
    without_none,
)
from undercroft.data.rest.openapi.visible import Visible
from undercroft.data.schema.model import Function, Parameter, Table, Volatility

BODIES = [media.JSON, f"{media.OBJECT};nulls=stripped", media.OBJECT, media.CSV]
_READ_PARAMETERS = ("select", "order", "range", "rangeUnit", "offset", "limit", "preferCount")
_PREFER: dict[str, list[str]] = {
    "preferParams": [],
    "preferReturn": ["return=representation", "return=minimal", "return=none"],
    "preferCount": ["count=none"],
    "preferPost": [
        "return=representation",
        "return=minimal",
        "return=none",
        "resolution=ignore-duplicates",
        "resolution=merge-duplicates",
    ],
}


def describe_paths(visible: Visible) -> Json:
    paths: Json = {
        "/": {
            "get": {
                "tags": ["Introspection"],
                "summary": "OpenAPI description (this document)",
                "produces": [media.OPENAPI, media.JSON],
                "responses": {"200": {"description": "OK"}},
            }
        }
    }
    paths |= {f"/{table.name.name}": _table_path(table) for table in visible.tables}
    paths |= {
        f"/rpc/{function.name.name}": _function_path(function) for function in visible.functions
    }
    return paths


def _references(names: Iterable[str]) -> list[Json]:
    return [{"$ref": f"#/parameters/{name}"} for name in names]


def _table_path(table: Table) -> Json:
    name = table.name.name
    summary, description = summary_of(table.description)
    common = without_none({"tags": [name], "summary": summary, "description": description})
    filters = [f"rowFilter.{name}.{column}" for column in table.columns]
    rows = {"type": "array", "items": {"$ref": f"#/definitions/{name}"}}

    def operation(parameters: Iterable[str], responses: Json) -> Json:
        return {**common, "parameters": _references(parameters), "responses": responses}

    path = {
        "get": operation(
            [*filters, *_READ_PARAMETERS],
            {
                "200": {"description": "OK", "schema": rows},
                "206": {"description": "Partial Content"},
            },
        )
    }
    if table.insertable or table.updatable or table.deletable:
        body = f"body.{name}"
        done = {"204": {"description": "No Content"}}
        path |= {
            "post": operation([body, "select", "preferPost"], {"201": {"description": "Created"}}),
            "delete": operation([*filters, "preferReturn"], done),
            "patch": operation([*filters, body, "preferReturn"], done),
        }
    return path


def _function_path(function: Function) -> Json:
    summary, description = summary_of(function.description)
    common = without_none(
        {
            "tags": [f"(rpc) {function.name.name}"],
            "summary": summary,
            "description": description,
            "produces": BODIES[:3],
            "responses": {"200": {"description": "OK"}},
        }
    )
    post = {
        **common,
        "parameters": [
            {"required": True, "in": "body", "name": "args", "schema": _arguments(function)},
            *_references(["preferParams"]),
        ],
    }
    if function.volatility is Volatility.VOLATILE:
        return {"post": post}
    return {
        "get": {**common, "parameters": [_argument(item) for item in function.parameters]},
        "post": post,
    }


def _arguments(function: Function) -> Json:
    required = [item.name for item in function.parameters if item.required]
    return without_none(
        {
            "description": function.description,
            "type": "object",
            "properties": {
                item.name: without_none(
                    {
                        "type": json_type(item.type),
                        "items": json_items(item.type),
                        "format": json_format(item.type),
                    }
                )
                for item in function.parameters
            },
            "required": required or None,
        }
    )


def _argument(item: Parameter) -> Json:
    common = {"name": item.name, "in": "query", "required": item.required}
    if item.variadic:
        element = item.type.removesuffix("[]")
        items = without_none({"type": json_type(element), "format": json_format(element)})
        return {**common, "type": "array", "collectionFormat": "multi", "items": items}
    kind = json_type(item.type)
    # An array is one text with braces in a query string.
    kind = "string" if kind in (None, "array") else kind
    return {**common, "type": kind, "format": json_format(item.type)}


def describe_parameters(tables: Iterable[Table]) -> Mapping[str, Json]:
    def text(name: str, where: str, description: str, **more: Any) -> Json:
        own = {"name": name, "in": where, "description": description}
        return {**own, "required": False, "type": "string", **more}

    paging = "Limiting and Pagination"
    parameters = {
        key: text("Prefer", "header", "Preference", **({"enum": values} if values else {}))
        for key, values in _PREFER.items()
    }
    parameters |= {
        "select": text("select", "query", "Filtering Columns"),
        "on_conflict": text("on_conflict", "query", "On Conflict"),
        "order": text("order", "query", "Ordering"),
        "range": text("Range", "header", paging),
        "rangeUnit": text("Range-Unit", "header", paging, default="items"),
        "offset": text("offset", "query", paging),
        "limit": text("limit", "query", paging),
    }
    for table in tables:
        name = table.name.name
        parameters[f"body.{name}"] = {
            "name": name,
            "description": name,
            "required": False,
            "in": "body",
            "schema": {"$ref": f"#/definitions/{name}"},
        }
        for column in table.columns.values():
            own = {"name": column.name, "description": column.description}
            parameters[f"rowFilter.{name}.{column.name}"] = without_none(
                {**own, "required": False, "in": "query", "type": "string"}
            )
    return parameters
