"""Functions and triggers on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt

Text = Annotated[
    str,
    Field(
        min_length=1,
        max_length=60_000,
        description="The whole CREATE statement.",
        examples=["create function hello(name text) returns text language sql as $$ … $$"],
    ),
]
Roles = Annotated[
    list[Literal["anon", "authenticated"]],
    Field(max_length=2, description="Who may call it beside the service key."),
]


class DefinitionCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    definition: Text
    roles: Roles = []


class DefinitionUpdate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    definition: Text
    roles: Roles | None = Field(None, description="Left out: they stay.")
    version: StrictInt | None = Field(None, description="The one you changed; another is 412.")


class DefinitionRestore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: StrictInt = Field(ge=1)


class DefinitionRead(BaseModel):
    id: UUID
    schema_name: str = Field(serialization_alias="schema")
    name: str
    signature: str = Field(examples=["public.hello(text)"])
    definition: str
    roles: list[str]
    version: int
    drifted: bool = Field(description="It was changed or dropped in SQL since it was saved.")
    live: str | None = Field(description="What Postgres has now; null when it is gone.")
    dependents: list[str] = Field(description="What would break without it.")
    created_at: datetime
    updated_at: datetime


class VersionRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    version: int
    definition: str
    roles: list[str]
    created_by: UUID | None
    created_at: datetime


class Validation(BaseModel):
    """Whether Postgres takes the definition. Nothing is kept."""

    valid: bool
    signature: str | None = None
    sqlstate: str | None = None
    message: str | None = None
    hints: list[str] = Field(
        [],
        description="What a plpgsql body names that is not there yet, by lines of the body.",
        examples=[['Line 4: relation "nowhere" does not exist']],
    )
    dependents: list[str] = Field([], description="What uses the function that it replaces.")
