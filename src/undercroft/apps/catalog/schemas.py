"""The catalogue on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, create_model

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=100),
    Field(examples=["Astrid Lindgren"]),
]
Age = Annotated[StrictInt, Field(ge=6, le=130)]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    Field(examples=["Ronja"]),
]
Year = Annotated[StrictInt, Field(ge=1870, le=2200)]
Description = Annotated[str, StringConstraints(max_length=4000)]
Genre = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=50),
    Field(description="Kept in lower case.", examples=["mystery"]),
]
Count = Annotated[StrictInt, Field(ge=1, le=100_000)]


class Incoming(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Outgoing(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class AuthorWrite(Incoming):
    name: Name
    age: Age


class MovieWrite(Incoming):
    title: Title
    year_of_issue: Year
    description: Description | None = None
    genre: Genre
    author_id: UUID


class SeriesWrite(Incoming):
    title: Title
    year_of_issue: Year | None = None
    episodes: Count
    seasons: Count
    description: Description | None = None
    genre: Genre
    author_id: UUID


def _partly(name: str, whole: type[Incoming]) -> Any:
    """The same fields, none of them required: what is left out stays as it is."""
    fields: dict[str, Any] = {
        key: (field.rebuild_annotation(), None) for key, field in whole.model_fields.items()
    }
    return create_model(name, __base__=Incoming, __doc__="Left out: unchanged.", **fields)


AuthorUpdate = _partly("AuthorUpdate", AuthorWrite)
MovieUpdate = _partly("MovieUpdate", MovieWrite)
SeriesUpdate = _partly("SeriesUpdate", SeriesWrite)


class AuthorRead(Outgoing):
    id: UUID
    name: str
    age: int
    created_at: datetime
    updated_at: datetime


class MovieRead(Outgoing):
    id: UUID
    title: str
    year_of_issue: int
    description: str | None
    genre: str
    author_id: UUID
    created_at: datetime
    updated_at: datetime


class SeriesRead(Outgoing):
    id: UUID
    title: str
    year_of_issue: int | None
    episodes: int
    seasons: int
    description: str | None
    genre: str
    author_id: UUID
    created_at: datetime
    updated_at: datetime
