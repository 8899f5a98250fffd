"""Authors and what they made."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from undercroft import Base, Id, Timestamps

SCHEMA = "catalog"


def _by_trigrams(table: str, column: str) -> Index:
    return Index(
        f"ix_{table}_{column}_trigrams",
        column,
        postgresql_using="gin",
        postgresql_ops={column: "gin_trgm_ops"},
    )


class Author(Timestamps, Base):
    __tablename__ = "authors"
    __table_args__ = (
        CheckConstraint("age BETWEEN 6 AND 130", name="age"),
        Index("ix_authors_name_id", "name", "id"),
        _by_trigrams("authors", "name"),
        {"schema": SCHEMA},
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(100))
    age: Mapped[int]


class Movie(Timestamps, Base):
    __tablename__ = "movies"
    __table_args__ = (
        Index("ix_movies_title_id", "title", "id"),
        Index("ix_movies_year_of_issue_id", "year_of_issue", "id"),
        Index("ix_movies_genre", "genre"),
        _by_trigrams("movies", "title"),
        {"schema": SCHEMA},
    )

    id: Mapped[Id]
    title: Mapped[str] = mapped_column(String(200))
    year_of_issue: Mapped[int]
    description: Mapped[str | None] = mapped_column(String(4000))
    genre: Mapped[str] = mapped_column(String(50))
    author_id: Mapped[UUID] = mapped_column(ForeignKey("catalog.authors.id"), index=True)


class Series(Timestamps, Base):
    __tablename__ = "series"
    __table_args__ = (
        CheckConstraint("episodes >= 1 AND seasons >= 1", name="size"),
        Index("ix_series_title_id", "title", "id"),
        Index("ix_series_genre", "genre"),
        _by_trigrams("series", "title"),
        {"schema": SCHEMA},
    )

    id: Mapped[Id]
    title: Mapped[str] = mapped_column(String(200))
    year_of_issue: Mapped[int | None]
    episodes: Mapped[int]
    seasons: Mapped[int]
    description: Mapped[str | None] = mapped_column(String(4000))
    genre: Mapped[str] = mapped_column(String(50))
    author_id: Mapped[UUID] = mapped_column(ForeignKey("catalog.authors.id"), index=True)


Work = Movie | Series
Entry = TypeVar("Entry", Author, Movie, Series)
