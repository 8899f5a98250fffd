"""Keyset pages, the same for every list: stable while rows come and go, however deep."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import orjson
from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, func, null, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from undercroft.foundation.problems import Invalid

Item = TypeVar("Item")


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


async def paginate(
    session: AsyncSession,
    statement: Select[Any],
    page: PageRequest,
    *,
    keys: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    descending: bool = True,
) -> tuple[list[Any], str | None, int | None]:
    """Return (rows, next cursor, total). `keys` must order uniquely; end them with the id."""
    counted = select(func.count()).select_from(statement.order_by(None).subquery())
    total = counted.scalar_subquery() if page.count else null()
    position = tuple_(*keys)
    ordered = statement.order_by(*(key.desc() if descending else key.asc() for key in keys))
    if page.cursor:
        after = tuple_(*_decode(page.cursor, keys))
        ordered = ordered.where(position < after if descending else position > after)
    ordered = ordered.add_columns(total, *keys).limit(page.limit + 1)
    found = (await session.execute(ordered)).all()
    rows = [row[0] for row in found[: page.limit]]
    more = len(found) > page.limit
    cursor = _encode(found[page.limit - 1][-len(keys) :]) if more else None
    if found:
        return rows, cursor, found[0][-len(keys) - 1]
    return rows, cursor, await session.scalar(counted) if page.count else None


def _encode(values: Sequence[Any]) -> str:
    packed = orjson.dumps([None if value is None else str(value) for value in values])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _decode(cursor: str, keys: Sequence[Any]) -> list[Any]:
    try:
        values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        pairs = zip(values, keys, strict=True)
        return [_parse(value, key) for value, key in pairs]
    except (binascii.Error, ValueError, TypeError) as error:
        raise CursorInvalid from error


def _parse(value: str, key: Any) -> Any:
    kind = key.type.python_type
    if hasattr(kind, "fromisoformat"):
        return kind.fromisoformat(value)
    return kind(value)
