"""Scripts, results and snippets on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
)

Query = Annotated[str, Field(min_length=1, examples=["select * from notes where id = $1"])]
Parameters = Annotated[
    list[Any],
    Field(
        max_length=1000,
        description="Values of `$1`, `$2` … in a single statement. The server knows their types; "
        "a list is an array where it wants one and JSON where it does not.",
    ),
]
Timeout = Annotated[
    StrictFloat | None,
    Field(gt=0, description="Seconds for the whole script. Default and most: settings `sql`."),
]


class SqlQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: Query
    params: Parameters = []
    read_only: StrictBool = Field(default=False, description="Postgres refuses every write.")
    dry_run: StrictBool = Field(default=False, description="Run all of it, then take it back.")
    timeout: Timeout = None
    max_rows: Annotated[
        StrictInt | None,
        Field(ge=1, description="Most rows of each result; more sets `truncated`."),
    ] = None


class SqlExplain(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: Query
    params: Parameters = []
    analyze: StrictBool = Field(
        default=False, description="Run it too, and take it back: real rows and times."
    )
    verbose: StrictBool = False
    buffers: StrictBool = Field(default=False, description="Pages read; only with `analyze`.")
    format: Literal["text", "json"] = "text"
    timeout: Timeout = None


class SqlColumn(BaseModel):
    name: str
    type: str


class SqlResult(BaseModel):
    statement: str
    columns: list[SqlColumn] = Field(description="Empty for a statement without rows.")
    rows: list[list[Any]] = Field(
        description="Values in the order of `columns`. bigint and numeric are text, so that no "
        "digit is lost; dates, times, intervals (ISO 8601), ranges, bytea (`\\x…`) and types of "
        "your own are Postgres' text; arrays are lists; json is itself."
    )
    row_count: int
    truncated: bool = Field(description="There are more rows than were asked for.")
    command: str = Field(examples=["SELECT", "INSERT", "CREATE TABLE"])
    affected_rows: int | None
    milliseconds: float


class SqlNotice(BaseModel):
    severity: str
    message: str


class SqlRead(BaseModel):
    """`committed` is false for `read_only` and `dry_run`: nothing was changed."""

    id: UUID = Field(description="Of the entry in the history.")
    committed: bool
    results: list[SqlResult]
    notices: list[SqlNotice]
    milliseconds: float


class SqlPlan(BaseModel):
    plan: Any = Field(description="Text, or Postgres' JSON.")
    milliseconds: float


class SqlRunRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: UUID | None
    caller: str
    query: str = Field(description="Its beginning, if it was very long.")
    is_truncated: bool
    read_only: bool
    dry_run: bool
    outcome: Literal["running", "succeeded", "failed", "cancelled", "lost"]
    sqlstate: str | None
    error: str | None
    statements: int | None
    row_count: int | None
    milliseconds: int | None
    created_at: datetime


SnippetName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
SnippetCode = Annotated[str, Field(min_length=1, max_length=100_000)]


class SnippetCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: SnippetName
    sql_code: SnippetCode
    description: Annotated[str | None, Field(max_length=2000)] = None
    is_shared: StrictBool = False


class SnippetUpdate(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: SnippetName | None = None
    sql_code: SnippetCode | None = None
    description: Annotated[str | None, Field(max_length=2000)] = None
    is_shared: StrictBool | None = None


class SnippetRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: UUID
    name: str
    sql_code: str
    description: str | None
    is_shared: bool
    created_at: datetime
    updated_at: datetime
