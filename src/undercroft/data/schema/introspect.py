"""Reads the catalogue of a database into a `Catalog`. The SQL is in `sql/`, one file a question."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import asyncpg
import orjson

from undercroft.data.schema.model import (
    Cardinality,
    Catalog,
    Column,
    ComputedRelationship,
    Function,
    MediaHandler,
    Parameter,
    QualifiedName,
    Relationship,
    Table,
    Volatility,
)
from undercroft.data.schema.relationships import derive_relationships
from undercroft.data.schema.views import Key, View, ViewKey, find_view_keys, read_origins

HOISTED_SETTINGS = ("statement_timeout", "plan_filter.statement_cost_limit")


class MissingSchemaError(Exception):
    """A schema that should be exposed or searched does not exist."""


async def read_catalog(
    connection: "asyncpg.Connection[asyncpg.Record]",
    schemas: Sequence[str],
    *,
    extra_search_path: Sequence[str] = (),
    hoisted_settings: Sequence[str] = HOISTED_SETTINGS,
    timezones: frozenset[str] | None = None,
) -> Catalog:
    """Read everything in one snapshot. `timezones` of an earlier read spares the slowest query."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # Names of others come out qualified. Temporary tables would be found before the catalogue
        # if they were not named, and last.
        await connection.execute("set local search_path to pg_catalog, pg_temp")
        await _check_schemas(connection, [*schemas, *extra_search_path])
        view_keys = await _read_view_keys(connection, [*schemas, *extra_search_path])
        tables = await _read_tables(connection, schemas, view_keys)
        settings, isolation = await _read_roles(connection)
        return Catalog(
            schemas=tuple(schemas),
            tables=tables,
            relationships=derive_relationships(
                await _read_foreign_keys(connection),
                view_keys,
                await _read_computed(connection, schemas),
                tables,
            ),
            functions=await _read_functions(connection, schemas, hoisted_settings),
            representations={
                (row["source"], row["target"]): row["function"]
                for row in await _rows(connection, "representations")
            },
            handlers=await _read_handlers(connection, schemas),
            timezones=timezones if timezones is not None else await _read_timezones(connection),
            role_settings=settings,
            role_isolation=isolation,
            has_dynamic_code=bool(await connection.fetchval(_sql("dynamic_code"))),
            server_version=connection.get_server_version().major,
        )


@cache
def _sql(name: str) -> str:
    return files("undercroft.data.schema").joinpath("sql", f"{name}.sql").read_text("utf-8")


async def _rows(
    connection: "asyncpg.Connection[asyncpg.Record]", name: str, *arguments: Any
) -> list[dict[str, Any]]:
    return [orjson.loads(row[0]) for row in await connection.fetch(_sql(name), *arguments)]


async def _check_schemas(
    connection: "asyncpg.Connection[asyncpg.Record]", schemas: Sequence[str]
) -> None:
    missing = await connection.fetchval(
        "select string_agg(name, ', ') from unnest($1::text[]) as name"
        " where not exists (select from pg_namespace where nspname = name)",
        list(schemas),
    )
    if missing:
        raise MissingSchemaError(f"Schemas that do not exist: {missing}")


async def _read_tables(
    connection: "asyncpg.Connection[asyncpg.Record]",
    schemas: Sequence[str],
    view_keys: Sequence[ViewKey],
) -> dict[QualifiedName, Table]:
    # A view's key is its table's, by the first name the view gives each column.
    primary: dict[QualifiedName, list[str]] = {}
    for found in view_keys:
        if found.key.kind == "p":
            primary.setdefault(found.view, []).extend(names[0] for _, names in found.columns)
    tables = [_table(row, primary) for row in await _rows(connection, "tables", list(schemas))]
    return {table.name: table for table in tables}


def _table(row: Mapping[str, Any], view_primary: Mapping[QualifiedName, list[str]]) -> Table:
    name = QualifiedName(row["schema"], row["name"])
    columns = [
        Column(
            name=item["name"],
            type=item["type"],
            nominal_type=item["nominal_type"],
            nullable=item["nullable"],
            default=item["default"],
            max_length=item["max_length"],
            enum=tuple(item["enum"] or ()),
            description=item["description"],
        )
        for item in row["columns"]
    ]
    return Table(
        name=name,
        columns={column.name: column for column in columns},
        primary_key=tuple(view_primary.get(name, ()) if row["is_view"] else row["primary_key"]),
        is_view=row["is_view"],
        insertable=bool(row["writable"] & 8),
        updatable=bool(row["writable"] & 4),
        deletable=bool(row["writable"] & 16),
        description=row["description"],
        has_triggers=row["has_triggers"],
    )


async def _read_foreign_keys(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> list[Relationship]:
    return [
        Relationship(
            table=QualifiedName(row["schema"], row["table"]),
            foreign_table=QualifiedName(row["foreign_schema"], row["foreign_table"]),
            cardinality=Cardinality.ONE_TO_ONE if row["one_to_one"] else Cardinality.MANY_TO_ONE,
            constraint=row["constraint"],
            columns=tuple((own, other) for own, other in row["columns"]),
            is_self=row["is_self"],
        )
        for row in await _rows(connection, "foreign_keys")
    ]


async def _read_view_keys(
    connection: "asyncpg.Connection[asyncpg.Record]", schemas: Sequence[str]
) -> list[ViewKey]:
    views = [
        View(
            oid=row["oid"],
            name=QualifiedName(row["schema"], row["name"]),
            columns={
                int(number): name for number, name in orjson.loads(row["columns"] or "{}").items()
            },
            origins=read_origins(row["tree"]),
        )
        for row in await connection.fetch(_sql("view_columns"), list(schemas))
    ]
    keys = [
        Key(
            relation=row["relation"],
            table=QualifiedName(row["schema"], row["table"]),
            constraint=row["constraint"],
            kind=row["kind"],
            columns=tuple((number, name) for number, name in row["columns"]),
        )
        for row in await _rows(connection, "keys")
    ]
    return find_view_keys(views, keys)


async def _read_computed(
    connection: "asyncpg.Connection[asyncpg.Record]", schemas: Sequence[str]
) -> list[ComputedRelationship]:
    return [
        ComputedRelationship(
            function=QualifiedName(row["schema"], row["name"]),
            table=QualifiedName(row["table_schema"], row["table"]),
            foreign_table=QualifiedName(row["foreign_schema"], row["foreign_table"]),
            to_one=row["to_one"],
            is_self=(row["table_schema"], row["table"])
            == (row["foreign_schema"], row["foreign_table"]),
        )
        for row in await _rows(connection, "computed_relationships", list(schemas))
    ]


async def _read_functions(
    connection: "asyncpg.Connection[asyncpg.Record]",
    schemas: Sequence[str],
    hoisted_settings: Sequence[str],
) -> dict[QualifiedName, tuple[Function, ...]]:
    functions: dict[QualifiedName, tuple[Function, ...]] = {}
    rows = await _rows(connection, "functions", list(schemas), list(hoisted_settings))
    for row in rows:
        function = Function(
            name=QualifiedName(row["schema"], row["name"]),
            parameters=tuple(Parameter(**item) for item in row["parameters"]),
            returns=QualifiedName(row["returns_schema"], row["returns"]),
            returns_set=row["returns_set"],
            returns_composite=row["returns_composite"],
            volatility=Volatility(row["volatility"]),
            isolation=row["isolation"],
            settings=tuple((name, value) for name, value in row["settings"]),
            description=row["description"],
            oid=row["oid"],
        )
        functions[function.name] = (*functions.get(function.name, ()), function)
    return functions


async def _read_handlers(
    connection: "asyncpg.Connection[asyncpg.Record]", schemas: Sequence[str]
) -> dict[tuple[QualifiedName | None, str], MediaHandler]:
    handlers: dict[tuple[QualifiedName | None, str], MediaHandler] = {}
    for row in await _rows(connection, "media_handlers", list(schemas)):
        function = QualifiedName(row["schema"], row["name"])
        target: QualifiedName | None = None
        if not row["is_aggregate"]:
            target = function
        elif row["target"] is not None:
            target = QualifiedName(row["target_schema"], row["target"])
        media_type = row["media_type"]
        handlers[target, media_type] = MediaHandler(
            function=function,
            target=target,
            media_type="application/octet-stream" if media_type == "*/*" else media_type,
            content=row["content"],
            is_aggregate=row["is_aggregate"],
        )
    return handlers


async def _read_roles(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> tuple[dict[str, tuple[tuple[str, str], ...]], dict[str, str]]:
    settings: dict[str, tuple[tuple[str, str], ...]] = {}
    isolation: dict[str, str] = {}
    for row in await _rows(connection, "roles"):
        role, name, value = row["role"], row["name"], row["value"]
        if name == "default_transaction_isolation":
            isolation[role] = value.lower()
        else:
            settings[role] = (*settings.get(role, ()), (name, value))
    return settings, isolation


async def _read_timezones(connection: "asyncpg.Connection[asyncpg.Record]") -> frozenset[str]:
    rows = await connection.fetch("select name from pg_timezone_names")
    return frozenset(row["name"] for row in rows)
