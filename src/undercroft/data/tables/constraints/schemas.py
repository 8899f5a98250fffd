"""Constraints on the wire."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StrictBool, model_validator

from undercroft.data.tables.schemas import Expression, Given, Name, OnDelete, ReferenceRead

Names = Annotated[list[Name], Field(min_length=1, max_length=32)]


class PrimaryKey(Given):
    kind: Literal["primary_key"]
    name: Name | None = None
    columns: Names


class Unique(Given):
    kind: Literal["unique"]
    name: Name | None = None
    columns: Names
    nulls_not_distinct: StrictBool = Field(
        default=False, description="Two nulls count as the same."
    )


class Check(Given):
    kind: Literal["check"]
    name: Name | None = None
    expression: Annotated[Expression, Field(examples=["amount > 0"])]


class ForeignKey(Given):
    """`references_columns` are those of the other table; its primary key when empty."""

    kind: Literal["foreign_key"]
    name: Name | None = None
    columns: Names
    references_table: Name
    references_schema: Name | None = None
    references_columns: list[Name] = Field(default_factory=list, max_length=32)
    on_delete: OnDelete = "no action"
    on_update: OnDelete = "no action"
    deferrable: StrictBool = Field(
        default=False, description="Checked at the end of the transaction."
    )

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if self.references_columns and len(self.references_columns) != len(self.columns):
            message = "both sides of a foreign key have the same number of columns"
            raise ValueError(message)
        return self


ConstraintCreate = Annotated[PrimaryKey | Unique | Check | ForeignKey, Field(discriminator="kind")]


class ConstraintRead(BaseModel):
    name: str
    kind: Literal["primary_key", "unique", "check", "foreign_key", "exclusion", "trigger"]
    columns: list[str]
    definition: str
    references: ReferenceRead | None
    validated: bool
    description: str | None
