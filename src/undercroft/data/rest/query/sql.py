"""The alphabet of our SQL: quoted names, quoted constants, and slots for values.

A slot is a marker in the text, so that SQL can be put together with f-strings; `Statement` turns
markers into `$1` and so on. Names lose everything from a NUL on, so nobody can forge a marker.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from undercroft.data.schema.model import QualifiedName

_MARKER = re.compile("\0([0-9]+)\0")


def ident(name: str) -> str:
    return '"' + name.partition("\0")[0].replace('"', '""') + '"'


def qualified(name: QualifiedName) -> str:
    return f"{ident(name.schema)}.{ident(name.name)}" if name.schema else ident(name.name)


def literal(text: str) -> str:
    """Quote a constant that belongs to the structure of a request, such as a JSON key."""
    quoted = "'" + text.partition("\0")[0].replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in quoted else quoted


def slot(index: int) -> str:
    return f"\0{index}\0"


def comma(parts: Sequence[str]) -> str:
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `$1` for its first value and so on; `slots` picks the values, in order."""

    sql: str
    slots: tuple[int, ...]

    def values(self, values: Sequence[str | None]) -> list[str | None]:
        return [values[index] for index in self.slots]


def statement(sql: str) -> Statement:
    """Finish a text: its slots are numbered in the order of their first appearance."""
    order: dict[int, int] = {}
    for marker in _MARKER.finditer(sql):
        order.setdefault(int(marker[1]), len(order) + 1)
    numbered = _MARKER.sub(lambda marker: f"${order[int(marker[1])]}", sql)
    return Statement(numbered, tuple(order))
