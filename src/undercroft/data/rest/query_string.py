"""Takes a query string apart into the shape of a request and its values.

This runs on every request, so it only sorts parameters by what they are; the texts of `select`,
`order` and keys stay texts, part of a hashable `Shape`, and are parsed once per shape.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from string import ascii_letters, digits
from typing import NamedTuple
from urllib.parse import quote, unquote_plus

from undercroft.data.rest.ranges import Window, read_integer
from undercroft.data.rest.syntax.ast import Condition, Operation
from undercroft.data.rest.syntax.filters import (
    parse_argument,
    parse_logic,
    parse_logic_key,
    parse_operation,
)

Pairs = list[tuple[str, str]]

_RESERVED = ("select", "columns", "on_conflict")
_WINDOWS = ("limit", "offset")
_SHORT = 200
_PLAIN = f"{ascii_letters}{digits}_.~-".encode()
_NAME = itemgetter(0)
_SETTLED = re.compile(rb"(?:[\w.~-]*=[\w.~-]*)?")  # one parameter at most, and nothing to quote


class FilterShape(NamedTuple):
    """A filter whose value is the value of the request at `slot`, if it has one."""

    key: str
    operation: Operation
    slot: int | None


class LogicShape(NamedTuple):
    """A logic tree; the slots of its filters count from the start of the request's values."""

    key: str
    tree: Condition


class Shape(NamedTuple):
    """All of a query string but the values of its filters and windows."""

    select: str | None = None
    filters: tuple[FilterShape, ...] = ()
    logic: tuple[LogicShape, ...] = ()
    order: tuple[tuple[str, str], ...] = ()
    columns: str | None = None
    on_conflict: str | None = None


@dataclass(slots=True)
class QueryString:
    """`values` are the parameters of `shape`; `arguments` are a function's, not filters.

    `windows` are the limits and offsets of embeds by their path, `top` those of the result.
    """

    shape: Shape
    values: list[str]
    arguments: Pairs
    windows: dict[str, Window]
    limit: str | None
    offset: str | None
    filter_keys: tuple[str, ...]


def split_pairs(raw: bytes) -> Pairs:
    """Decode the parameters that have a value, in order."""
    pairs = []
    for part in raw.decode("latin-1").split("&"):
        name, equals, value = part.partition("=")
        if equals:
            pairs.append((unquote(name), unquote(value)))
    return pairs


def unquote(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def canonical(raw: bytes) -> str:
    """Write the parameters sorted by name, the values of one name joined, for Content-Location."""
    if _SETTLED.fullmatch(raw):
        return raw.decode()
    named = [part.partition(b"=")[::2] for part in raw.split(b"&")]
    named.sort(key=_NAME)
    joined: dict[str, str] = {}
    for raw_name, raw_value in named:
        name, value = _requoted(raw_name), _requoted(raw_value)
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return "&".join([f"{name}={value}" for name, value in joined.items()])


def _requoted(raw: bytes) -> str:
    text = raw.decode("latin-1")
    if not raw.translate(None, _PLAIN):
        return text
    return _quote_short(text) if len(text) <= _SHORT else _quote_anew(text)


def _quote_anew(text: str) -> str:
    return quote(unquote(text), safe="")


# Slow for what runs on every request, and what is no value comes again.
_quote_short = lru_cache(maxsize=1000)(_quote_anew)


def quoted_name(name: str) -> str:
    """A name that is nothing but a name: no path, no embed, no reserved word."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def encoded(text: str) -> str:
    """A text as part of a query string."""
    return quote(text, safe="", errors="replace")


def read_query(pairs: Pairs, *, calls_function: bool = False) -> QueryString:
    """Sort the parameters. With `calls_function`, those that are no filters are arguments."""
    named: dict[str, str] = {}
    filters: list[FilterShape] = []
    logic: list[LogicShape] = []
    order: list[tuple[str, str]] = []
    windows: Pairs = []
    values: list[str] = []
    arguments: Pairs = []
    for key, text in pairs:
        last = key.rpartition(".")[2]
        if last in ("and", "or"):
            _, negated, operator = parse_logic_key(key)
            logic.append(LogicShape(key, parse_logic(operator, text, values, negated=negated)))
        elif last == "order":
            order.append((key, text))
        elif last in _WINDOWS:
            windows.append((key, text))
        elif key in _RESERVED:
            named.setdefault(key, text)
        else:
            found = parse_argument(text) if calls_function else parse_operation(text)
            if found is None:
                arguments.append((key, text))
                continue
            operation, value = found
            if value is not None:
                values.append(value)
            filters.append(FilterShape(key, operation, None if value is None else len(values) - 1))
    top = dict(windows) if windows else {}
    return QueryString(
        shape=Shape(
            named.get("select"),
            tuple(filters),
            tuple(logic),
            tuple(order),
            named.get("columns"),
            named.get("on_conflict"),
        ),
        values=values,
        arguments=arguments,
        windows=_embed_windows(windows) if windows else {},
        limit=top.get("limit"),
        offset=top.get("offset"),
        filter_keys=tuple(item.key for item in filters),
    )


def _embed_windows(parameters: Pairs) -> dict[str, Window]:
    found: dict[str, Window] = {}
    for key, text in parameters:
        path, dot, word = key.rpartition(".")
        if dot:
            number = read_integer(text)
            known = found.get(path, Window())
            if word == "limit":
                found[path] = Window(known.offset, number)
            else:
                found[path] = Window(number or 0, known.limit)
    return found
