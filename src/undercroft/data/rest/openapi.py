"""Describes a schema as an OpenAPI 2.0 document, the form that PostgREST's tools read.

Which relations and functions it names follows the caller's privileges, by a query run as them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from undercroft.data.rest import media
from undercroft.data.rest.query.sql import Statement, literal, statement
from undercroft.data.schema.model import (
    Cardinality,
    Catalog,
    Column,
    Function,
    Parameter,
    Relationship,
    Table,
    Volatility,
)

Json = dict[str, Any]

_TYPES = {
    "character varying": "string",
    "character": "string",
    "text": "string",
    "boolean": "boolean",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "number",
    "real": "number",
    "double precision": "number",
}
_BODIES = [media.JSON, f"{media.OBJECT};nulls=stripped", media.OBJECT, media.CSV]
_READ_PARAMETERS = ("select", "order", "range", "rangeUnit", "offset", "limit", "preferCount")
_PREFER = {
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


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API is, as its document says."""

    scheme: str
    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Visible:
    """The relations and functions to describe, and the comment on their schema."""

    tables: list[Table]
    functions: list[Function]
    description: str | None


def visibility_query(schema: str) -> Statement:
    """Ask, as the caller, for what they may use. The answer is the body of a `Result`."""
    name = literal(schema)
    return statement(
        "SELECT NULL::bigint, 1::bigint, convert_to(json_build_object("  # noqa: S608 - a literal
        "'tables', (SELECT coalesce(json_agg(class.relname), '[]') FROM pg_class AS class"
        f" JOIN pg_namespace AS space ON space.oid = class.relnamespace AND space.nspname = {name}"
        " WHERE class.relkind IN ('r', 'p', 'v', 'm', 'f') AND ("
        "pg_has_role(class.relowner, 'USAGE')"
        " OR has_table_privilege(class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE,"
        " REFERENCES, TRIGGER')"
        " OR has_any_column_privilege(class.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))),"
        "'functions', (SELECT coalesce(json_agg(routine.oid::bigint), '[]')"
        " FROM pg_proc AS routine JOIN pg_namespace AS space"
        f" ON space.oid = routine.pronamespace AND space.nspname = {name}"
        " WHERE has_function_privilege(routine.oid, 'EXECUTE')),"
        "'description', (SELECT obj_description(space.oid, 'pg_namespace')"
        f" FROM pg_namespace AS space WHERE space.nspname = {name})"
        ")::text, 'UTF8'), NULL::text[],"
        " nullif(current_setting('response.headers', true), ''),"
        " nullif(current_setting('response.status', true), ''), NULL::bigint"
    )


def read_visible(
    catalog: Catalog, schema: str, answer: bytes, *, follow_privileges: bool
) -> Visible:
    found = orjson.loads(answer)
    tables, functions = set(found["tables"]), set(found["functions"])
    return Visible(
        [
            table
            for name, table in catalog.tables.items()
            if name.schema == schema and (not follow_privileges or name.name in tables)
        ],
        [
            function
            for name, overloads in catalog.functions.items()
            if name.schema == schema
            for function in overloads
            if not follow_privileges or function.oid in functions
        ],
        found["description"],
    )


def read_address(proxy_uri: str | None, host: str, prefix: str) -> Address:
    if proxy_uri is None:
        return Address("http", host, prefix or "/")
    parts = urlsplit(proxy_uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Address(parts.scheme, f"{parts.hostname}:{port}", parts.path or "/")


def describe(catalog: Catalog, visible: Visible, address: Address, *, secured: bool) -> Json:
    """Write the whole document."""
    title, description = _summary(visible.description)
    document: Json = {
        "swagger": "2.0",
        "info": {
            "title": title or "PostgREST API",
            "description": description
            if visible.description
            else "The tables, views and functions of a database, served by Undercroft",
            "version": "14",
        },
        "externalDocs": {
            "description": "PostgREST Documentation",
            "url": "https://docs.postgrest.org/en/stable/references/api.html",
        },
        "host": address.host,
        "basePath": address.path,
        "schemes": [address.scheme],
        "consumes": _BODIES,
        "produces": _BODIES,
        "paths": _paths(visible),
        "definitions": {table.name.name: _definition(catalog, table) for table in visible.tables},
        "parameters": _parameters(visible.tables),
    }
    if secured:
        document["securityDefinitions"] = {
            "JWT": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "description": 'The word "Bearer", a space, and the token',
            }
        }
        document["security"] = [{"JWT": []}]
    return document


def _summary(comment: str | None) -> tuple[str | None, str | None]:
    """Take the first line of a comment as a title, the rest as its description."""
    if comment is None:
        return None, None
    first, _, rest = comment.partition("\n")
    return first, rest.lstrip("\n") or None


def _without_none(items: Json) -> Json:
    return {name: value for name, value in items.items() if value is not None}


def _type(name: str) -> str | None:
    if name in ("json", "jsonb"):
        return None
    return _TYPES.get(name, "array" if name.endswith("[]") else "string")


def _items(name: str) -> Json | None:
    if not name.endswith("[]"):
        return None
    return _without_none({"type": _type(name.removesuffix("[]"))})


def _definition(catalog: Catalog, table: Table) -> Json:
    required = [column.name for column in table.columns.values() if not column.nullable]
    return _without_none(
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
    return _without_none(
        {
            "default": _default(column),
            "description": _column_description(catalog, table, column),
            "enum": list(column.enum) or None,
            "format": column.type,
            "maxLength": column.max_length,
            "type": _type(column.type),
            "items": _items(column.type),
        }
    )


def _default(column: Column) -> Any:
    """Give a default that is a constant; an expression has no place in the document."""
    if column.default is None:
        return None
    if _type(column.type) == "string":
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


def _paths(visible: Visible) -> Json:
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
    summary, description = _summary(table.description)
    common = _without_none({"tags": [name], "summary": summary, "description": description})
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
    summary, description = _summary(function.description)
    common = _without_none(
        {
            "tags": [f"(rpc) {function.name.name}"],
            "summary": summary,
            "description": description,
            "produces": _BODIES[:3],
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
    return _without_none(
        {
            "description": function.description,
            "type": "object",
            "properties": {
                item.name: _without_none(
                    {"type": _type(item.type), "items": _items(item.type), "format": item.type}
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
        items = _without_none({"type": _type(element), "format": element})
        return {**common, "type": "array", "collectionFormat": "multi", "items": items}
    kind = _type(item.type)
    # An array is one text with braces in a query string.
    kind = "string" if kind in (None, "array") else kind
    return {**common, "type": kind, "format": item.type}


def _parameters(tables: Iterable[Table]) -> Mapping[str, Json]:
    def text(name: str, where: str, description: str, **more: Any) -> Json:
        own = {"name": name, "in": where, "description": description}
        return {**own, "required": False, "type": "string", **more}

    paging = "Limiting and Pagination"
    parameters = {
        key: text("Prefer", "header", "Preference", enum=values) for key, values in _PREFER.items()
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
            parameters[f"rowFilter.{name}.{column.name}"] = _without_none(
                {**own, "required": False, "in": "query", "type": "string"}
            )
    return parameters
