"""Parses `order=`. Cached: it is structure, without a value in it."""

from functools import lru_cache

from undercroft.data.rest.errors import RestError
from undercroft.data.rest.syntax.ast import Field, OrderTerm
from undercroft.data.rest.syntax.scanner import Scanner

_DIRECTIONS = ("asc", "desc")
_NULLS = ("nullsfirst", "nullslast")


@lru_cache(maxsize=4096)
def parse_order(text: str) -> tuple[OrderTerm, ...]:
    """Read `a.desc.nullslast,embed(b)`."""
    scanner = Scanner(text, f"failed to parse order ({text})")
    terms = [_term(scanner)]
    while scanner.looking_at(","):
        scanner.position += 1
        terms.append(_term(scanner))
    return tuple(terms)


def _term(scanner: Scanner) -> OrderTerm:
    scanner.skip_space()
    start = scanner.position
    relation, field = _relation_field(scanner) or (None, None)
    if field is None:
        scanner.position = start
        scanner.forget()
        field = scanner.field()
    direction = _option(scanner, _DIRECTIONS)
    nulls = _option(scanner, _NULLS)
    scanner.skip_space()
    if not (scanner.at_end() or scanner.looking_at(",")):
        raise _stuck(scanner, direction, nulls)
    return OrderTerm(field, direction, nulls, relation)


def _relation_field(scanner: Scanner) -> tuple[str, Field] | None:
    """Read `relation(field)`, or None when this is a plain field or neither."""
    relation = scanner.optional_name()
    if relation is None or not scanner.looking_at("("):
        return None
    scanner.position += 1
    try:
        field = scanner.field()
    except RestError:
        return None
    return (relation, field) if scanner.accept(")") else None


def _option(scanner: Scanner, words: tuple[str, ...]) -> str | None:
    for word in words:
        if scanner.looking_at(f".{word}"):
            scanner.position += len(word) + 1
            return word
    return None


def _stuck(scanner: Scanner, direction: str | None, nulls: str | None) -> Exception:
    if not scanner.looking_at("."):
        after_field = () if direction or nulls else ("letter", "digit", '"-"', '"->>"', '"->"')
        more = () if nulls else ("delimiter (.)",)
        scanner.expect_end(*after_field, *more, '","')
        return scanner.error()
    options = _NULLS if direction else (*_DIRECTIONS, *_NULLS)
    scanner.position += 1
    scanner.expect_word(options[0], *(f'"{option}"' for option in options))
    return scanner.error()
