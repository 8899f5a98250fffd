"""Windows over a result: limit and offset, the Range header, and the Content-Range answer."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from undercroft.data.rest.errors import range_error

_USUAL_LIMIT = 1000
_MOST_DIGITS = 50  # more than Postgres takes, which refuses them
_RANGE = re.compile(r"([0-9]+)-([0-9]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """Rows from `offset` on, at most `limit` of them; None is no limit."""

    offset: int = 0
    limit: int | None = None

    @property
    def is_everything(self) -> bool:
        return self.offset == 0 and self.limit is None

    def at_most(self, rows: int | None) -> "Window":
        if rows is None or (self.limit is not None and self.limit <= rows):
            return self
        return Window(self.offset, rows)


EVERYTHING = Window()


class Slice(NamedTuple):
    """A window as a statement has it: in its text, or as values of the request at slots."""

    limit: int | None = None
    limit_slot: int | None = None
    offset_slot: int | None = None


def slice_of(window: Window, values: list[str | None]) -> Slice:
    """Write a window, appending to `values` what stays a parameter.

    The limits people page by become part of the text: seeing the number, Postgres can keep one
    plan for the statement, which otherwise it makes anew on every run.
    """
    limit, limit_slot, offset_slot = window.limit, None, None
    if limit is not None and not 0 <= limit <= _USUAL_LIMIT:
        limit, limit_slot = None, len(values)
        values.append(str(window.limit))
    if window.offset:
        offset_slot = len(values)
        values.append(str(window.offset))
    return Slice(limit, limit_slot, offset_slot)


def read_integer(text: str) -> int | None:
    """Read an integer, signed or not, as strictly as the grammar; anything else is None."""
    stripped = text.strip()
    digits = stripped.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    number = int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
    return number if stripped == digits else -number


def top_window(limit: str | None, offset: str | None, range_header: str | None) -> Window:
    """Intersect limit and offset of the query with the Range header.

    A limit of zero from the start is allowed; any other empty window is a 416.
    """
    rows = read_integer(limit) if limit is not None else None
    first = max(read_integer(offset) or 0, 0) if offset is not None else 0
    if rows == 0 and first == 0:
        return Window(0, 0)
    if rows is not None and rows <= 0:
        raise range_error("Limit should be greater than or equal to zero.")
    window = Window(first, rows)
    match = _RANGE.fullmatch(range_header) if range_header is not None else None
    if match is None:
        return window
    return _intersect(window, read_integer(match[1]) or 0, read_integer(match[2]))


def _intersect(window: Window, low: int, high: int | None) -> Window:
    if high is not None and high < low:
        raise range_error(
            "The lower boundary must be lower than or equal to the upper boundary"
            " in the Range header."
        )
    ends = [] if high is None else [high + 1]
    if window.limit is not None:
        ends.append(window.offset + window.limit)
    start = max(window.offset, low)
    if not ends:
        return Window(start)
    if min(ends) <= start:
        raise range_error("Limit should be greater than or equal to zero.")
    return Window(start, min(ends) - start)


def range_status(offset: int, rows: int, total: int | None) -> int:
    if total is None:
        return 200
    if offset > total:
        return 416
    return 206 if rows < total else 200


def content_range(lower: int, upper: int, total: int | None) -> bytes:
    rows = f"{lower}-{upper}" if lower <= upper and total != 0 else "*"
    return f"{rows}/{'*' if total is None else total}".encode()
