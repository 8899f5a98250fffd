"""Parses filters (`column=op.value`) and logic trees (`and=(…)`), splitting structure from values.

A filter is parsed on every request, so the common form goes through one regular expression; the
rest, and every error text, is the work of the scanner.
"""

import re
from functools import lru_cache

from undercroft.data.rest.errors import RestError
from undercroft.data.rest.syntax.ast import Condition, EmbedPath, Field, Filter, Logic, Operation
from undercroft.data.rest.syntax.scanner import Scanner

SIMPLE = {
    "neq": "<>",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
QUANTIFIABLE = {
    "eq": "=",
    "gte": ">=",
    "gt": ">",
    "lte": "<=",
    "lt": "<",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
}
FULL_TEXT = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}
IS_KEYWORDS = {
    "null": "NULL",
    "not_null": "NOT NULL",
    "true": "TRUE",
    "false": "FALSE",
    "unknown": "UNKNOWN",
}
_OPERATION = re.compile(
    r"(not\.)?(?:"
    rf"({'|'.join(SIMPLE)}|isdistinct)"
    rf"|({'|'.join(QUANTIFIABLE)})(?:\((any|all)\))?"
    rf"|({'|'.join(FULL_TEXT)})(?:\(([\w $]+)\))?"
    r")\."
)
_OPERATOR_NAME = re.compile(
    "|".join([*SIMPLE, "isdistinct", *QUANTIFIABLE, *FULL_TEXT, "in", "is"])
)
_IN = re.compile(r"(not\.)?in\.")
_IS = re.compile(r"(not\.)?is\.")
_IS_VALUE = re.compile("|".join(sorted(IS_KEYWORDS, key=len, reverse=True)), re.IGNORECASE)
_UNQUOTED = re.compile(r"[^,)]*")
_QUOTED_ITEM = re.compile(r'"((?:[^\\"]|\\.)*)"(?=[,)]|$)', re.DOTALL)
_ARRAY_VALUE = re.compile(r"\{[^{}]*\}")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

OPERATOR = "operator (eq, gt, ...)"


@lru_cache(maxsize=4096)
def parse_key(key: str) -> tuple[EmbedPath, Field]:
    """Split `embed.column->json` into the path of embeds and the field."""
    scanner = Scanner(key, f"failed to parse tree path ({key})")
    names = [scanner.name()]
    while scanner.looking_at("."):
        scanner.position += 1
        names.append(scanner.name())
    return tuple(names[:-1]), Field(names[-1], scanner.json_path())


def parse_operation(text: str) -> tuple[Operation, str | None]:
    """Split `not.eq(any).value` into the operation and its value, ready to be a parameter."""
    return _operation(Scanner(text, f"failed to parse filter ({text})"), in_tree=False)


def parse_argument(text: str) -> tuple[Operation, str | None] | None:
    """Like `parse_operation`, but None for a plain text: the argument of a function."""
    if _OPERATION.match(text) or _IN.match(text) or _IS.match(text) or text.startswith("not."):
        return parse_operation(text)
    return None


@lru_cache(maxsize=1024)
def parse_logic_key(key: str) -> tuple[EmbedPath, bool, str]:
    """Split `embed.not.or` into the path of embeds, whether negated, and the operator."""
    scanner = Scanner(key, f"failed to parse logic path ({key})")
    names = [scanner.name()]
    while scanner.looking_at("."):
        scanner.position += 1
        names.append(scanner.name())
    path = tuple(name for name in names[:-1] if name != "not")
    return path, "not" in names, names[-1]


def parse_logic(operator: str, text: str, values: list[str], *, negated: bool) -> Condition:
    """Read `(a.eq.1,or(…))`, appending the values found to `values`.

    The operator is read with its text as one, so that `or=x.eq.1` is a filter on `orx`.
    """
    whole = f"{'not.' if negated else ''}{operator}{text}"
    return _tree(Scanner(whole, f"failed to parse logic tree ({text})"), values)


def _tree(scanner: Scanner, values: list[str]) -> Condition:
    scanner.skip_space()
    start = scanner.position
    condition = _tree_filter(scanner, values)
    if condition is not None:
        return condition
    scanner.position = start
    negated = scanner.looking_at("not.")
    if negated:
        scanner.position += 4
        scanner.forget()
    operator = next((word for word in ("and", "or") if scanner.looking_at(word)), None)
    if operator is None:
        labels = () if negated else ("negation operator (not)",)
        scanner.expect(*labels, "logic operator (and, or)")
        raise scanner.error()
    scanner.position += len(operator)
    scanner.forget()
    return Logic(operator, negated, _tree_conditions(scanner, values))


def _tree_conditions(scanner: Scanner, values: list[str]) -> tuple[Condition, ...]:
    scanner.skip_space()
    scanner.open()
    conditions = [_tree(scanner, values)]
    scanner.skip_space()
    while scanner.looking_at(","):
        scanner.position += 1
        conditions.append(_tree(scanner, values))
        scanner.skip_space()
    scanner.expect('","')
    scanner.close()
    scanner.skip_space()
    return tuple(conditions)


def _tree_filter(scanner: Scanner, values: list[str]) -> Filter | None:
    """Read `field.op.value`, or None when this must be a nested `and`, `or` or `not`."""
    try:
        field = scanner.field()
        if not scanner.looking_at("."):
            scanner.expect("delimiter (.)")
            return None
        scanner.position += 1
        operation, value = _operation(scanner, in_tree=True)
    except RestError:
        return None
    if value is None:
        return Filter(field, operation, None)
    values.append(value)
    return Filter(field, operation, len(values) - 1)


def _operation(scanner: Scanner, *, in_tree: bool) -> tuple[Operation, str | None]:
    if found := scanner.match(_OPERATION):
        negated, simple, quantified, quantifier, full_text, language = found.groups()
        operator = simple or quantified or full_text
        value = _tree_value(scanner) if in_tree else _rest(scanner)
        if operator in ("like", "ilike"):
            value = value.replace("*", "%")
        return _known_operation(
            operator, negated is not None, quantifier, language and language.strip()
        ), value
    if found := scanner.match(_IN):
        return Operation("in", negated=found[1] is not None), array_literal(_list(scanner))
    if found := scanner.match(_IS):
        keyword = scanner.match(_IS_VALUE)
        if keyword is None:
            scanner.expect("isVal: (null, not_null, true, false, unknown)")
            raise scanner.error()
        return Operation("is", found[1] is not None, keyword=keyword.group().lower()), None
    raise _not_an_operation(scanner)


def _not_an_operation(scanner: Scanner) -> RestError:
    """Point at where the text stopped being like any operator."""
    negated = scanner.looking_at("not.")
    if negated:
        scanner.position += 4
    known = scanner.match(_OPERATOR_NAME)
    if known is None:
        scanner.expect_word("in" if negated else "not", *(() if negated else ('"not"',)), OPERATOR)
    else:
        if known.group() not in ("in", "is") and scanner.looking_at("("):
            scanner.position += 1
        scanner.expect(OPERATOR)
    return scanner.error()


@lru_cache(maxsize=1024)
def _known_operation(
    operator: str,
    negated: bool,  # noqa: FBT001 - a cache key
    quantifier: str | None,
    language: str | None,
) -> Operation:
    return Operation(operator, negated, quantifier, language)


def _rest(scanner: Scanner) -> str:
    value = scanner.text[scanner.position :]
    scanner.position = len(scanner.text)
    return value


def _tree_value(scanner: Scanner) -> str:
    """Read a value inside a tree, where `,` and `)` end it unless quoted or in an array."""
    if found := scanner.match(_QUOTED_ITEM):
        return _ESCAPED.sub(r"\1", found[1])
    found = scanner.match(_ARRAY_VALUE) or scanner.match(_UNQUOTED)
    return found.group() if found else ""


def _list(scanner: Scanner) -> list[str]:
    scanner.skip_space()
    scanner.require("(")
    scanner.skip_space()
    items = [_list_item(scanner)]
    while scanner.looking_at(","):
        scanner.position += 1
        items.append(_list_item(scanner))
    scanner.expect('","')
    scanner.skip_space()
    scanner.require(")")
    scanner.skip_space()
    return items


def _list_item(scanner: Scanner) -> str:
    if found := scanner.match(_QUOTED_ITEM):
        return _ESCAPED.sub(r"\1", found[1])
    found = scanner.match(_UNQUOTED)
    return found.group() if found else ""


def array_literal(items: list[str]) -> str:
    """Write a PostgreSQL array of texts; one empty item is an empty list."""
    if items == [""]:
        return "{}"
    escaped = (item.replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in escaped) + "}"
