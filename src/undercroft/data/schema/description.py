"""What the customer's schemas hold, read in one query: for people, diagrams and generated types."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


class PgType(BaseModel):
    """`element` of an array, `base` of a domain; `values` of an enum; `relation` of a row."""

    schema_name: str = Field(alias="schema")
    name: str
    kind: str
    element: int
    base: int
    relation: str
    relation_kind: str
    values: list[str] | None = None


class Column(BaseModel):
    """`always`: Postgres makes the value, nobody may write it."""

    name: str
    type: int
    type_text: str
    nullable: bool
    default: str | None
    has_default: bool
    always: bool
    description: str | None


class ForeignKey(BaseModel):
    name: str
    schema_name: str = Field(alias="schema")
    table: str
    columns: list[str]
    references: list[str]
    one_to_one: bool


class Relation(BaseModel):
    """A table, view or composite type, told apart by the letters of `pg_class.relkind`."""

    schema_name: str = Field(alias="schema")
    name: str
    kind: str
    row_type: int
    row_security: bool
    row_estimate: int
    insertable: bool
    updatable: bool
    description: str | None
    primary_key: list[str]
    foreign_keys: list[ForeignKey]
    columns: list[Column]

    @property
    def is_table(self) -> bool:
        return self.kind in "rpf"

    @property
    def is_view(self) -> bool:
        return self.kind in "vm"


class Argument(BaseModel):
    """`mode` in the letters of `pg_proc.proargmodes`."""

    name: str
    type: int
    mode: str
    has_default: bool


class Function(BaseModel):
    schema_name: str = Field(alias="schema")
    name: str
    returns: int
    returns_text: str
    set: bool
    arguments_text: str
    volatility: str
    security_definer: bool
    description: str | None
    arguments: list[Argument]

    @property
    def inputs(self) -> list[Argument]:
        return [item for item in self.arguments if item.mode in "ibv"]

    @property
    def outputs(self) -> list[Argument]:
        return [item for item in self.arguments if item.mode in "obt"]


class Enumeration(BaseModel):
    schema_name: str = Field(alias="schema")
    name: str
    description: str | None
    values: list[str]


class Description(BaseModel):
    relations: list[Relation]
    functions: list[Function]
    enums: list[Enumeration]
    types: dict[int, PgType]

    def of_schema(self, schema: str) -> "Description":
        return Description.model_construct(
            relations=[item for item in self.relations if item.schema_name == schema],
            functions=[item for item in self.functions if item.schema_name == schema],
            enums=[item for item in self.enums if item.schema_name == schema],
            types=self.types,
        )


@cache
def _sql() -> str:
    return files("undercroft.data.schema").joinpath("sql", "describe.sql").read_text("utf-8")


async def describe(session: AsyncSession, schemas: Sequence[str]) -> Description:
    found: Any = await session.scalar(text(_sql()), {"schemas": list(schemas)})
    return Description.model_validate(found)


LIST = text("""
    SELECT nspname FROM pg_namespace
     WHERE undercroft.is_exposed(nspname) ORDER BY nspname <> 'public', nspname
""")


async def list_schemas(session: AsyncSession) -> list[str]:
    """All of the customer's, `public` first."""
    return list(await session.scalars(LIST))
