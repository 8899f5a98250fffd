"""Keyset pages, the same for every list: stable while rows come and go, however deep."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import asyncpg
import orjson
from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, func, null, or_, select, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from undercroft.foundation.db.failures import sql_error
from undercroft.foundation.problems import Invalid

Item = TypeVar("Item")
Sorts = Mapping[str, ColumnElement[Any] | InstrumentedAttribute[Any]]


class CursorInvalid(Invalid):
    title = "The cursor is not valid"
    detail = "Pass the `next_cursor` of the previous page unchanged."


class Page(BaseModel, Generic[Item]):
    items: list[Item]
    next_cursor: str | None = None
    total: int | None = None

    @classmethod
    def whole(cls, items: Sequence[Any]) -> Self:
        """A list that is short by its nature, in one piece."""
        return cls(items=list(items), total=len(items))


@dataclass(frozen=True, slots=True)
class PageRequest:
    limit: int
    cursor: str | None
    count: bool
    # A name of `sorts`, after `-` from the highest; empty for the list's own order.
    sort: str = ""


async def paginate(
    session: AsyncSession,
    statement: Select[Any],
    page: PageRequest,
    *,
    keys: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    descending: bool = True,
    sorts: Sorts | None = None,
) -> tuple[list[Any], str | None, int | None]:
    """Return (rows, next cursor, total). `keys` must order uniquely; end them with the id.

    `sorts` are what callers may order by instead; none may be null.
    """
    if page.sort:
        chosen, unique = (sorts or {})[page.sort.removeprefix("-")], keys[-1]
        keys = (unique,) if chosen is unique else (chosen, unique)
        descending = page.sort.startswith("-")
    total = _counting(statement).scalar_subquery() if page.count else null()
    position = tuple_(*keys)
    ordered = statement.order_by(*(key.desc() if descending else key.asc() for key in keys))
    if page.cursor:
        after = tuple_(*_decode(page.cursor, page.sort, keys))
        ordered = ordered.where(position < after if descending else position > after)
    ordered = ordered.add_columns(total, *keys).limit(page.limit + 1)
    try:
        found = (await session.execute(ordered)).all()
    except DBAPIError as error:
        # A forged position may be one that its column cannot hold.
        if page.cursor and isinstance(sql_error(error), asyncpg.DataError):
            raise CursorInvalid from error
        raise
    rows = [row[0] for row in found[: page.limit]]
    more = len(found) > page.limit
    cursor = write_cursor(page.sort, found[page.limit - 1][-len(keys) :]) if more else None
    if found:
        return rows, cursor, found[0][-len(keys) - 1]
    return rows, cursor, await session.scalar(_counting(statement)) if page.count else None


def _counting(statement: Select[Any]) -> Select[Any]:
    return select(func.count()).select_from(statement.order_by(None).subquery())


def containing(part: str, *columns: Any) -> ColumnElement[bool]:
    """Rows with `part` somewhere in one of the columns, whatever its letter case."""
    return or_(*(column.icontains(part, autoescape=True) for column in columns))


def write_cursor(sort: str, values: Sequence[Any]) -> str:
    packed = orjson.dumps([sort, *map(str, values)])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_cursor(cursor: str, sort: str) -> list[str]:
    """What `write_cursor` was given. Raises `CursorInvalid`, for one of another order too."""
    try:
        of, *values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, TypeError) as error:
        raise CursorInvalid from error
    if of != sort or not all(isinstance(value, str) for value in values):
        raise CursorInvalid
    return list(values)


def _decode(cursor: str, sort: str, keys: Sequence[Any]) -> list[Any]:
    values = read_cursor(cursor, sort)
    try:
        return [_parse(value, key) for value, key in zip(values, keys, strict=True)]
    except (ValueError, ArithmeticError) as error:
        raise CursorInvalid from error


def _parse(value: str, key: Any) -> Any:
    kind = key.type.python_type
    if hasattr(kind, "fromisoformat"):
        return kind.fromisoformat(value)
    return kind(value)
