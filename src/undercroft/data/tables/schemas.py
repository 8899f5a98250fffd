"""Tables and columns on the wire."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

from undercroft.foundation.phrases import Phrase

# Postgres cuts names at 63 bytes without a word; we refuse longer ones instead.
LONGEST_NAME = 63
TOO_LONG = Phrase(
    "name_too_many_bytes", "May have at most 63 bytes; letters outside ASCII have several."
)
NOT_IN_PATHS = Phrase(
    "name_not_in_paths", "May not contain '/' nor be '.' or '..': nobody could address it."
)


def _fits(name: str) -> str:
    if len(name.encode(errors="surrogatepass")) > LONGEST_NAME:
        raise TOO_LONG.refusal()
    return name


def _is_addressable(name: str) -> str:
    if "/" in name or name in {".", ".."}:
        raise NOT_IN_PATHS.refusal()
    return name


Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f]+$"),
    AfterValidator(_fits),
]
TableName = Annotated[Name, AfterValidator(_is_addressable)]
Text = Annotated[str, StringConstraints(max_length=2000)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
TypeText = Annotated[
    str,
    Field(min_length=1, max_length=200, examples=["text", "numeric(10, 2)"]),
]
OnDelete = Literal["no action", "restrict", "cascade", "set null", "set default"]


class Given(BaseModel):
    """What comes in: nothing that we do not know, and no name that Postgres would cut."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Reference(Given):
    """A foreign key to `schema.table(column)`; without a column, to its primary key.

    `schema` may be one of yours, or `auth` with the table `users`.
    """

    table: Name
    schema_name: Name | None = Field(None, alias="schema")
    column: Name | None = None
    on_delete: OnDelete = "no action"


class ColumnCreate(Given):
    name: Name
    type: TypeText
    nullable: StrictBool = True
    default: Annotated[
        str | None,
        Field(max_length=2000, description="SQL expression.", examples=["now()", "'draft'"]),
    ] = None
    generated: Annotated[
        str | None,
        Field(max_length=2000, description="SQL expression over other columns, stored."),
    ] = None
    primary_key: StrictBool = False
    unique: StrictBool = False
    identity: StrictBool = Field(default=False, description="Numbered by Postgres.")
    description: Text | None = None
    references: Reference | None = None


class ColumnUpdate(Given):
    """What is named is changed. `default` and `description` of null take them away."""

    name: Name | None = None
    type: TypeText | None = None
    using: Annotated[
        Expression | None,
        Field(description="How to turn the old values into the new type.", examples=["n::text"]),
    ] = None
    default: Annotated[str, StringConstraints(max_length=2000)] | None = None
    nullable: StrictBool | None = None
    description: Text | None = None

    @model_validator(mode="after")
    def _using_has_a_type(self) -> "ColumnUpdate":
        if self.using is not None and self.type is None:
            message = "`using` goes with `type`"
            raise ValueError(message)
        return self


class TableCreate(Given):
    name: TableName
    description: Text | None = None
    columns: Annotated[list[ColumnCreate], Field(min_length=1, max_length=1600)]
    if_not_exists: StrictBool = False

    @model_validator(mode="after")
    def _names_differ(self) -> "TableCreate":
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            message = "two columns have the same name"
            raise ValueError(message)
        return self


class TableUpdate(Given):
    """What is named is changed. A `description` of null takes it away."""

    name: TableName | None = None
    description: Text | None = None
    row_security: StrictBool | None = Field(
        None, description="Needs `policies:manage`: without it policies count for nothing."
    )


class ColumnRead(BaseModel):
    name: str
    type: str
    nullable: bool
    default: str | None
    generated: str | None = Field(description="The expression of a generated column.")
    primary_key: bool
    identity: bool
    description: str | None


class ReferenceRead(BaseModel):
    schema_name: str = Field(serialization_alias="schema")
    table: str
    columns: list[str]
    on_delete: str
    on_update: str


class ForeignKeyRead(BaseModel):
    name: str
    columns: list[str]
    references: ReferenceRead


class TableSummary(BaseModel):
    name: str
    schema_name: str = Field(serialization_alias="schema")
    description: str | None
    column_count: int
    row_estimate: int = Field(description="From the planner's statistics; -1 when unknown.")
    size_bytes: int
    row_security: bool
    policy_count: int
