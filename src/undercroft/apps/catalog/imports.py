"""A file of authors, movies and series: read and checked as a whole, then written as a whole."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from sqlalchemy import insert, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft import new_id
from undercroft.apps.catalog import schemas
from undercroft.apps.catalog.models import Author, Movie, Series
from undercroft.apps.catalog.queries import keep_authors, list_known_authors

BATCH = 1000
TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtext('catalog import'))")
SPACE = re.compile(r"[ \t\r\n]*")

Entry = TypeVar("Entry")


class AuthorRow(schemas.AuthorWrite):
    type: Literal["author"]


class _Work(schemas.Incoming):
    """Its author by name, in this file or in the catalogue, or by id."""

    author: schemas.Name | None = None
    author_id: UUID | None = None

    @model_validator(mode="after")
    def _has_one_author(self) -> "_Work":
        if (self.author is None) == (self.author_id is None):
            message = "name the author by `author` or by `author_id`"
            raise ValueError(message)
        return self


class MovieRow(_Work):
    type: Literal["movie"]
    title: schemas.Title
    year_of_issue: schemas.Year
    genre: schemas.Genre
    description: schemas.Description | None = None


class SeriesRow(_Work):
    type: Literal["series"]
    title: schemas.Title
    episodes: schemas.Count
    seasons: schemas.Count
    genre: schemas.Genre
    year_of_issue: schemas.Year | None = None
    description: schemas.Description | None = None


Row = AuthorRow | MovieRow | SeriesRow
ROW: TypeAdapter[Row] = TypeAdapter(Annotated[Row, Field(discriminator="type")])


class FileUnreadable(ValueError):  # noqa: N818 - it names what is wrong
    """The file as a whole is not what its name says."""


@dataclass
class Parsed:
    """Rows that are right, with their lines, and a sentence for each line that is not."""

    rows: list[tuple[int, Row]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Imported:
    authors: int = 0
    movies: int = 0
    series: int = 0
    skipped: int = 0


def parse(file: Path) -> Parsed:
    """Raises `FileUnreadable` when no line can be made out at all."""
    try:
        content = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileUnreadable("the file is not UTF-8") from error
    readers: dict[str, Callable[[str], Iterable[tuple[int, Any]]]] = {
        ".csv": _csv_rows,
        ".json": _json_rows,
        ".ndjson": _ndjson_rows,
        ".jsonl": _ndjson_rows,
    }
    read = readers.get(file.suffix.lower())
    if read is None:
        raise FileUnreadable("its name must end in .csv, .json, .ndjson or .jsonl")
    # A number is a text in CSV, and in JSON no text is a number.
    understood = ROW.validate_strings if read is _csv_rows else ROW.validate_python
    parsed = Parsed()
    for line, raw in read(content):
        if isinstance(raw, str):
            parsed.wrong.append(f"line {line}: {raw}")
            continue
        try:
            row = understood(raw)
        except ValidationError as error:
            parsed.wrong.append(f"line {line}: {_sentence(error)}")
        else:
            if _is_text(row):
                parsed.rows.append((line, row))
            else:
                parsed.wrong.append(f"line {line}: holds a NUL character")
    return parsed


def _is_text(row: Row) -> bool:
    """Whether Postgres can hold it: JSON can escape a character that no text has."""
    return not any(isinstance(value, str) and "\x00" in value for _, value in row)


async def save(
    session: AsyncSession, rows: Sequence[tuple[int, Row]], advance: Callable[[int], None]
) -> tuple[Imported, list[str]]:
    """Add what is not there yet; returns what was added, and the lines whose author is nobody.

    Imports take turns, so that two of one file do not both add what neither sees of the other.
    """
    await session.execute(TAKE_TURNS)
    done = Imported()
    authors = [row for _, row in rows if isinstance(row, AuthorRow)]
    works = [(line, row) for line, row in rows if not isinstance(row, AuthorRow)]
    named = {row.name for row in authors} | {row.author for _, row in works if row.author}
    known = await _known_authors(session, named)
    new: dict[str, dict[str, Any]] = {}
    for author in authors:
        if author.name in known:
            done.skipped += 1
        else:
            new[author.name] = {"id": new_id(), "name": author.name, "age": author.age}
            known[author.name] = new[author.name]["id"]
    advance(done.skipped)
    await _insert(session, Author, list(new.values()), advance)
    done.authors = len(new)
    nobody = await _without_author(session, works, known)
    if not nobody:
        done.movies = await _add(session, Movie, MovieRow, works, known, done, advance)
        done.series = await _add(session, Series, SeriesRow, works, known, done, advance)
    return done, nobody


async def _known_authors(session: AsyncSession, names: Iterable[str]) -> dict[str, UUID]:
    known: dict[str, UUID] = {}
    for some in _batches(names):
        known |= await list_known_authors(session, some)
    return known


async def _without_author(
    session: AsyncSession, works: Sequence[tuple[int, Any]], known: dict[str, UUID]
) -> list[str]:
    found: set[UUID] = set()
    for some in _batches({row.author_id for _, row in works if row.author_id}):
        found |= await keep_authors(session, some)
    return [
        f"line {line}: there is no author {row.author or row.author_id}"
        for line, row in works
        if (row.author and row.author not in known)
        or (row.author_id and row.author_id not in found)
    ]


async def _add(
    session: AsyncSession,
    model: type[Any],
    kind: type[Any],
    works: Sequence[tuple[int, Any]],
    known: dict[str, UUID],
    done: Imported,
    advance: Callable[[int], None],
) -> int:
    wanted: dict[tuple[Any, ...], dict[str, Any]] = {}
    for _, row in works:
        if isinstance(row, kind):
            values = row.model_dump(exclude={"type", "author"})
            values |= {"id": new_id(), "author_id": row.author_id or known[row.author]}
            key = (values["author_id"], values["title"], values["year_of_issue"])
            done.skipped += key in wanted
            wanted.setdefault(key, values)
    there = await _existing(session, model, wanted)
    done.skipped += len(there)
    rows = [values for key, values in wanted.items() if key not in there]
    await _insert(session, model, rows, advance)
    advance(sum(isinstance(row, kind) for _, row in works) - len(rows))
    return len(rows)


async def _existing(
    session: AsyncSession, model: type[Any], keys: Iterable[tuple[Any, ...]]
) -> set[tuple[Any, ...]]:
    found: set[tuple[Any, ...]] = set()
    columns = (model.author_id, model.title, model.year_of_issue)
    for some in _batches(keys):
        pairs = [(author_id, title) for author_id, title, _ in some]
        statement = select(*columns).where(tuple_(model.author_id, model.title).in_(pairs))
        found |= {tuple(row) for row in await session.execute(statement)}
    return found & set(keys)


async def _insert(
    session: AsyncSession,
    model: type[Any],
    rows: Sequence[dict[str, Any]],
    advance: Callable[[int], None],
) -> None:
    for some in _batches(rows):
        await session.execute(insert(model), some)
        advance(len(some))


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    every = list(entries)
    return (every[start : start + BATCH] for start in range(0, len(every), BATCH))


def _csv_rows(content: str) -> Iterator[tuple[int, Any]]:
    """Each row with the line on which it begins: a quoted text may go over several."""
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise FileUnreadable(f"line 1: {error}") from error
    if twice := {name for name in names if names.count(name) > 1}:
        raise FileUnreadable(f"line 1: the header names twice: {', '.join(sorted(twice))}")
    if "type" not in names:
        raise FileUnreadable("line 1: the header needs a column `type` (author, movie or series)")
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield line, str(error)
            return
        if row is None:
            return
        if row and len(row) != len(names):
            yield line, f"{len(names)} columns are expected, here are {len(row)}"
        elif row:
            yield line, {name: text for name, text in zip(names, row, strict=True) if text}


def _ndjson_rows(content: str) -> Iterator[tuple[int, Any]]:
    for line, row in enumerate(content.split("\n"), 1):
        if row.strip():
            try:
                yield line, json.loads(row)
            except (ValueError, RecursionError) as error:
                yield line, f"no JSON: {error}"


def _json_rows(content: str) -> Iterator[tuple[int, Any]]:
    """The members of one array, each with the line on which it begins."""
    decoder, after_space = json.JSONDecoder(), _places(content)
    at, line = after_space(0)
    if content[at : at + 1] != "[":
        raise FileUnreadable("line 1: a JSON file holds one array of objects")
    at, separator = at + 1, "["
    while True:
        at, line = after_space(at)
        if content[at : at + 1] == "]" and separator != ",":
            return
        try:
            value, at = decoder.raw_decode(content, at)
        except (ValueError, RecursionError) as error:
            yield line, f"no JSON: {error}"
            return
        yield line, value
        at, line = after_space(at)
        separator = content[at : at + 1]
        if separator not in {",", "]"}:
            yield line, "a comma or the end of the array is missing"
            return
        at += separator == ","


def _places(content: str) -> Callable[[int], tuple[int, int]]:
    """Where the next sign after a place is, and on which line, counted on from the last answer."""
    counted, line = 0, 1

    def after_space(at: int) -> tuple[int, int]:
        nonlocal counted, line
        found = SPACE.match(content, at)
        assert found
        line += content.count("\n", counted, found.end())
        counted = found.end()
        return counted, line

    return after_space


def _sentence(error: ValidationError) -> str:
    parts = []
    for entry in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in entry["loc"][1:])
        message = entry["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {message}" if place else message)
    return "; ".join(parts)
