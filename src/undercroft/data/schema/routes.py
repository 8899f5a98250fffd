"""`/schema`: HTTP in and out."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from undercroft.data.parts import DataParts
from undercroft.data.schema.description import (
    Column,
    Enumeration,
    Relation,
    describe,
    list_schemas,
)
from undercroft.data.schema.graph import Graph, draw
from undercroft.data.schema.model import Cardinality, Catalog, Relationship
from undercroft.data.schema.types.python import write_python
from undercroft.data.schema.types.typescript import Link, Links, write_typescript
from undercroft.data.tables.errors import SchemaNotFound
from undercroft.data.tables.queries import check_schema
from undercroft.foundation.access import Needs
from undercroft.foundation.http import Router, Session

router = Router("/schema", tag="data")
OneSchema = Annotated[str | None, Query(max_length=63, description="Default: all of your schemas.")]


class SchemaColumn(BaseModel):
    name: str
    type: str
    nullable: bool
    default: str | None
    generated: bool = Field(description="Postgres alone makes the value.")
    description: str | None


class SchemaKey(BaseModel):
    name: str
    columns: list[str]
    references_schema: str
    references_table: str
    references_columns: list[str]


class SchemaRelation(BaseModel):
    schema_name: str = Field(serialization_alias="schema")
    name: str
    kind: Literal[
        "table", "partitioned table", "foreign table", "view", "materialized view", "type"
    ]
    description: str | None
    row_security: bool
    row_estimate: int
    columns: list[SchemaColumn]
    primary_key: list[str]
    foreign_keys: list[SchemaKey]


class SchemaFunction(BaseModel):
    schema_name: str = Field(serialization_alias="schema")
    name: str
    arguments: str
    returns: str
    volatility: Literal["immutable", "stable", "volatile"]
    security_definer: bool
    description: str | None


class SchemaEnum(BaseModel):
    schema_name: str = Field(serialization_alias="schema")
    name: str
    values: list[str]
    description: str | None


class SchemaRead(BaseModel):
    schemas: list[str]
    tables: list[SchemaRelation]
    views: list[SchemaRelation]
    types: list[SchemaRelation]
    functions: list[SchemaFunction]
    enums: list[SchemaEnum]


KINDS = {
    "r": "table",
    "p": "partitioned table",
    "f": "foreign table",
    "v": "view",
    "m": "materialized view",
    "c": "type",
}
VOLATILITY = {"i": "immutable", "s": "stable", "v": "volatile"}


@router.get("", access=Needs("tables:read"), problems=(SchemaNotFound,))
async def get_schema(session: Session, schema: OneSchema = None) -> SchemaRead:
    """Tables, views, columns, keys, functions, enums and composite types."""
    schemas = await _wanted(session, schema)
    found = await describe(session, schemas)
    return SchemaRead(
        schemas=schemas,
        tables=[_relation(item) for item in found.relations if item.is_table],
        views=[_relation(item) for item in found.relations if item.is_view],
        types=[_relation(item) for item in found.relations if item.kind == "c"],
        functions=[
            SchemaFunction.model_validate(
                item.model_dump()
                | {
                    "arguments": item.arguments_text,
                    "returns": item.returns_text,
                    "volatility": VOLATILITY[item.volatility],
                }
            )
            for item in found.functions
        ],
        enums=[_enum(item) for item in found.enums],
    )


@router.get("/visualization", access=Needs("tables:read"), problems=(SchemaNotFound,))
async def get_schema_visualization(session: Session, schema: OneSchema = None) -> Graph:
    """Tables and views as nodes, foreign keys as edges."""
    return draw(await describe(session, await _wanted(session, schema)))


@router.get(
    "/types",
    access=Needs("tables:read"),
    response_class=PlainTextResponse,
    problems=(SchemaNotFound,),
)
async def get_schema_types(
    session: Session,
    data: DataParts,
    lang: Annotated[Literal["typescript", "python"], Query()] = "typescript",
    schema: Annotated[
        list[str] | None, Query(description="Default: the schemas that /rest/v1 serves.")
    ] = None,
) -> PlainTextResponse:
    """Types of the rows for clients: `createClient<Database>`, or TypedDicts."""
    schemas = list(dict.fromkeys(schema or data.rows.schemas))
    for name in schemas:
        await check_schema(session, name)
    description = await describe(session, schemas)
    if lang == "python":
        return PlainTextResponse(write_python(description, schemas))
    links = _links(await data.rows.catalog(), schemas)
    return PlainTextResponse(write_typescript(description, schemas, links))


async def _wanted(session: Session, schema: str | None) -> list[str]:
    if schema is None:
        return await list_schemas(session)
    await check_schema(session, schema)
    return [schema]


def _relation(item: Relation) -> SchemaRelation:
    return SchemaRelation.model_validate(
        {
            "schema_name": item.schema_name,
            "name": item.name,
            "kind": KINDS[item.kind],
            "description": item.description,
            "row_security": item.row_security,
            "row_estimate": item.row_estimate,
            "columns": [_column(column) for column in item.columns],
            "primary_key": item.primary_key,
            "foreign_keys": [
                SchemaKey(
                    name=found.name,
                    columns=found.columns,
                    references_schema=found.schema_name,
                    references_table=found.table,
                    references_columns=found.references,
                )
                for found in item.foreign_keys
            ],
        }
    )


def _column(column: Column) -> SchemaColumn:
    return SchemaColumn(
        name=column.name,
        type=column.type_text,
        nullable=column.nullable,
        default=column.default,
        generated=column.always,
        description=column.description,
    )


def _enum(item: Enumeration) -> SchemaEnum:
    return SchemaEnum(
        schema_name=item.schema_name,
        name=item.name,
        values=item.values,
        description=item.description,
    )


def _links(catalog: Catalog, schemas: Sequence[str]) -> Links:
    """To-one relationships by their origin, views included, within the schemas written."""
    found: dict[tuple[str, str], list[Link]] = {}
    for (origin, target_schema), relationships in catalog.relationships.items():
        if origin.schema not in schemas or target_schema not in schemas:
            continue
        for item in relationships:
            if not isinstance(item, Relationship) or item.inverse or item.junction:
                continue
            link = Link(
                item.constraint,
                [own for own, _ in item.columns],
                item.cardinality is Cardinality.ONE_TO_ONE,
                item.foreign_table.name,
                [other for _, other in item.columns],
            )
            found.setdefault((origin.schema, origin.name), []).append(link)
    return {name: sorted(links) for name, links in found.items()}
