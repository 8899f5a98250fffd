"""The alphabet of our SQL: quoted names, quoted constants, and slots for values.

A slot is a marker in the text, so that SQL can be put together with f-strings; `Statement` turns
markers into `$1` for a prepared statement or `%1$L` for `format`. Names lose everything from a
NUL on, so nobody can forge a marker.
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
    """SQL with its placeholders; `slots` picks the values to pass, in order.

    `prepared` numbers the placeholders for PREPARE, `inline` is a template for `format`, which
    quotes the values into the text, and `call` the template for EXECUTE of the prepared one.
    """

    prepared: str
    inline: str
    arguments: str
    slots: tuple[int, ...]

    def values(self, values: Sequence[str | None]) -> list[str | None]:
        return [values[index] for index in self.slots]


def statement(sql: str) -> Statement:
    """Finish a text: its slots are numbered in the order of their first appearance."""
    order: dict[int, int] = {}
    for marker in _MARKER.finditer(sql):
        order.setdefault(int(marker[1]), len(order) + 1)
    return Statement(
        prepared=_MARKER.sub(lambda marker: f"${order[int(marker[1])]}", sql),
        inline=_MARKER.sub(lambda marker: f"%{order[int(marker[1])]}$L", sql.replace("%", "%%")),
        arguments=f"({', '.join(['%L'] * len(order))})" if order else "",
        slots=tuple(order),
    )
