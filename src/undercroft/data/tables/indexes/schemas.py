"""Indexes on the wire."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StrictBool, model_validator

from undercroft.data.tables.schemas import Expression, Given, Name

Method = Literal["btree", "hash", "gin", "gist", "brin"]
ORDERED: Method = "btree"


class IndexPart(Given):
    """A column or an expression, and how it is sorted or compared."""

    column: Name | None = None
    expression: Annotated[Expression | None, Field(examples=["lower(email)"])] = None
    opclass: Annotated[Name | None, Field(examples=["gin_trgm_ops", "text_pattern_ops"])] = None
    order: Literal["asc", "desc"] | None = None
    nulls: Literal["first", "last"] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.column is None) == (self.expression is None):
            message = "give `column` or `expression`"
            raise ValueError(message)
        return self


class IndexCreate(Given):
    name: Name | None = None
    columns: Annotated[list[Name | IndexPart], Field(min_length=1, max_length=32)]
    method: Method = ORDERED
    unique: StrictBool = False
    where: Annotated[
        Expression | None, Field(description="Only these rows.", examples=["deleted_at is null"])
    ] = None
    include: list[Name] = Field(default_factory=list, max_length=32)
    concurrently: StrictBool = Field(
        default=False,
        description="Build it by a job while the table is read and written; answers 202.",
    )

    def parts(self) -> list[IndexPart]:
        return [IndexPart(column=c) if isinstance(c, str) else c for c in self.columns]


class IndexRead(BaseModel):
    """`state`: ready, building, or failed with a `reason`. A failed one serves no query."""

    name: str
    state: Literal["ready", "building", "failed"]
    reason: str | None = None
    method: str
    unique: bool
    primary: bool
    constraint: str | None = Field(description="The constraint that this index enforces.")
    columns: list[str] = Field(description="Columns and expressions, in order.")
    include: list[str]
    where: str | None
    definition: str
    size_bytes: int
    scans: int = Field(description="How often it was used since statistics began.")
    description: str | None
