"""Tables, columns and policies on the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Postgres cuts names at 63 bytes without a word; we refuse longer ones instead.
Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f]+$")]
ApiRole = Literal["anon", "authenticated", "service_role", "public"]
Command = Literal["all", "select", "insert", "update", "delete"]
OnDelete = Literal["no action", "restrict", "cascade", "set null", "set default"]


class Reference(BaseModel):
    """A foreign key to `schema.table(column)`; without a column, to its primary key."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    table: Name
    schema_name: Name | None = Field(None, alias="schema")
    column: Name | None = None
    on_delete: OnDelete = "no action"


class ColumnCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    type: Annotated[str, Field(min_length=1, max_length=200, examples=["text", "numeric(10, 2)"])]
    nullable: bool = True
    default: Annotated[
        str | None,
        Field(max_length=2000, description="SQL expression.", examples=["now()", "'draft'"]),
    ] = None
    primary_key: bool = False
    unique: bool = False
    identity: bool = Field(default=False, description="Numbered by Postgres.")
    description: Annotated[str | None, Field(max_length=2000)] = None
    references: Reference | None = None


class TableCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    description: Annotated[str | None, Field(max_length=2000)] = None
    columns: Annotated[list[ColumnCreate], Field(min_length=1, max_length=1600)]
    if_not_exists: bool = False

    @model_validator(mode="after")
    def _names_differ(self) -> "TableCreate":
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            message = "two columns have the same name"
            raise ValueError(message)
        return self


class TableUpdate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    description: Annotated[str | None, Field(max_length=2000)] = None


class ColumnRead(BaseModel):
    name: str
    type: str
    nullable: bool
    default: str | None
    primary_key: bool
    identity: bool
    description: str | None


class PolicyCreate(BaseModel):
    """`using` decides which rows are seen, `check` which may be written."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    command: Command = "all"
    roles: Annotated[list[ApiRole], Field(min_length=1)] = ["authenticated"]
    using: Annotated[
        str | None, Field(max_length=10_000, examples=["owner_id = (select auth.uid())"])
    ] = None
    check: Annotated[str | None, Field(max_length=10_000)] = None
    permissive: bool = True


class PolicyRead(BaseModel):
    name: str
    command: str
    roles: list[str]
    using: str | None
    check: str | None
    permissive: bool


class TableSummary(BaseModel):
    name: str
    schema_name: str = Field(serialization_alias="schema")
    description: str | None
    column_count: int
    row_estimate: int = Field(description="From the planner's statistics; -1 when unknown.")
    size_bytes: int
    row_security: bool
    policy_count: int


class TableRead(TableSummary):
    columns: list[ColumnRead]
    policies: list[PolicyRead]


class Created(BaseModel):
    """`created` is false when the table existed and `if_not_exists` was set."""

    created: bool
    table: TableRead


class Imported(BaseModel):
    table: str
    rows: int
    bytes: int
    seconds: float
