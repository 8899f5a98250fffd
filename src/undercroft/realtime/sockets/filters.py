"""`price=gt.10,status=in.(open,paid)`: parsed here, judged by Postgres with the column's type."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from undercroft.foundation.db.quoting import quote_literal, quote_name
from undercroft.realtime.sockets.catalog import TableInfo
from undercroft.realtime.sockets.judge import select_rows

LONGEST_FILTER = 4000
MOST_VALUES = 100
MOST_CONDITIONS = 20
_OPERATORS: dict[str, str] = {
    "eq": "=",
    "neq": "<>",
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
    "like": "LIKE",
    "ilike": "ILIKE",
    "match": "~",
    "imatch": "~*",
    "isdistinct": "IS DISTINCT FROM",
}
_ON_TEXT = frozenset({"like", "ilike", "match", "imatch"})
_IS = {"null": "NULL", "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN"}
_HEAD = re.compile(r"\s*(?P<column>[^=,]+)=(?P<negated>not\.)?(?P<operator>[a-z]+)\.")
_TEXT = r'"(?:[^"\\]|\\.)*"'
# A value in quotes, and a list, end where they are closed.
_QUOTED = re.compile(rf"{_TEXT}\s*(?=,|$)", re.DOTALL)
_LIST = re.compile(rf"\((?:{_TEXT}|[^\"()])*\)\s*(?=,|$)", re.DOTALL)
# Any other ends where the next condition begins, so that a comma inside it does not end it.
_NEXT = re.compile(r",(?=[^=,()\"]+=(?:not\.)?[a-z]+\.)")
_LISTED = re.compile(rf"\s*(?:({_TEXT})|([^,\"]*))\s*(?:,|$)", re.DOTALL)


class FilterInvalid(ValueError):  # noqa: N818 - says what it is
    """`str()` is for the client."""


@dataclass(frozen=True, slots=True)
class Condition:
    column: str
    operator: str
    values: tuple[str, ...]
    negated: bool = False

    @property
    def is_plain_equality(self) -> bool:
        return self.operator == "eq" and not self.negated

    def sql(self, table: TableInfo) -> str:
        name = f"{quote_name(table.name)}.{quote_name(self.column)}"
        kind = table.types[self.column]
        if self.operator == "is":
            test = f"{name} IS {_IS[self.values[0]]}"
        elif self.operator == "in":
            listed = ", ".join(f"{quote_literal(v)}::{kind}" for v in self.values)
            test = f"{name} IN ({listed})" if listed else "false"
        elif self.operator in _ON_TEXT:
            test = f"{name}::text {_OPERATORS[self.operator]} {quote_literal(self.values[0])}"
        else:
            test = f"{name} {_OPERATORS[self.operator]} {quote_literal(self.values[0])}::{kind}"
        return f"NOT ({test})" if self.negated else f"({test})"


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that must all hold."""

    conditions: tuple[Condition, ...]

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(condition.column for condition in self.conditions)

    @property
    def has_pattern(self) -> bool:
        """Patterns are programs: they may fail on some values, and take as long as they like."""
        return any(condition.operator in _ON_TEXT for condition in self.conditions)

    def fits(self, table: TableInfo) -> bool:
        """Whether the table still has what the filter names."""
        return self.columns <= table.types.keys()

    def sql(self, table: TableInfo) -> str:
        return " AND ".join(condition.sql(table) for condition in self.conditions)


def parse_filter(text: str) -> Filter:
    """Raises `FilterInvalid`."""
    if len(text) > LONGEST_FILTER or "\0" in text:
        raise FilterInvalid("the filter is too long")
    conditions: list[Condition] = []
    at = 0
    while at <= len(text):
        condition, end = _condition(text, at)
        conditions.append(condition)
        at = end + 1  # a comma is between them
    if len(conditions) > MOST_CONDITIONS:
        raise FilterInvalid(f"at most {MOST_CONDITIONS} conditions")
    return Filter(tuple(conditions))


def _condition(text: str, at: int) -> tuple[Condition, int]:
    """The condition that begins at a place, and where it ends."""
    head = _HEAD.match(text, at)
    if head is None:
        raise FilterInvalid(f"'{text[at : at + 100]}' is not column=operator.value")
    operator, begin = head["operator"], head.end()
    closed = (_LIST if operator == "in" else _QUOTED).match(text, begin)
    following = _NEXT.search(text, begin)
    end = closed.end() if closed else following.start() if following else len(text)
    value = text[begin:end].strip()
    if closed and operator != "in":
        value = _plain(value)
    values = _values(operator, value)
    column = head["column"].strip().strip('"')
    return Condition(column, operator, values, bool(head["negated"])), end


def _values(operator: str, value: str) -> tuple[str, ...]:
    if operator == "in":
        return _listed(value)
    if operator == "is":
        value = value.lower()
        if value not in _IS:
            raise FilterInvalid("is takes null, true, false or unknown")
    elif operator not in _OPERATORS:
        raise FilterInvalid(f"'{operator[:30]}' is not an operator")
    return (value,)


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)


def _listed(text: str) -> tuple[str, ...]:
    if not (text.startswith("(") and text.endswith(")")):
        raise FilterInvalid("in takes a list in parentheses")
    inner, values, at = text[1:-1], [], 0
    while at < len(inner):
        found = _LISTED.match(inner, at)
        if found is None or found.end() == at:
            raise FilterInvalid("the list is not well formed")
        quoted, bare = found.groups()
        values.append(bare.strip() if quoted is None else _plain(quoted))
        at = found.end()
    if len(values) > MOST_VALUES:
        raise FilterInvalid(f"at most {MOST_VALUES} values in a list")
    return tuple(values)


def matching_statement(table: TableInfo, filters: Sequence[Filter]) -> str:
    """Selects (place, number of the filter) of what matches.

    Equalities on one column, of which thousands are usual, become one join.
    """
    equal: dict[str, list[tuple[int, str]]] = {}
    others: list[tuple[int, Filter]] = []
    for number, one in enumerate(filters):
        first = one.conditions[0]
        if len(one.conditions) == 1 and first.is_plain_equality:
            equal.setdefault(first.column, []).append((number, first.values[0]))
        else:
            others.append((number, one))
    parts = [_join(table, column, wanted) for column, wanted in equal.items()]
    if others:
        tests = ", ".join(f"({number}, {one.sql(table)})" for number, one in others)
        joins = f"CROSS JOIN LATERAL (VALUES {tests}) AS _undercroft_tests (number, passes)"
        what = "_undercroft_place, _undercroft_tests.number"
        parts.append(select_rows(table, what, "_undercroft_tests.passes", joins))
    return " UNION ALL ".join(parts)


def _join(table: TableInfo, column: str, wanted: Sequence[tuple[int, str]]) -> str:
    kind = table.types[column]
    values = ", ".join(quote_literal(value) for _, value in wanted)
    numbers = ", ".join(str(number) for number, _ in wanted)
    joins = (
        f"JOIN unnest(ARRAY[{values}]::text[]::{kind}[], ARRAY[{numbers}]::int[])"
        " AS _undercroft_tests (value, number)"
        f" ON _undercroft_tests.value = {quote_name(table.name)}.{quote_name(column)}"
    )
    return select_rows(table, "_undercroft_place, _undercroft_tests.number", "true", joins)
