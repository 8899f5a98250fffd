"""SQL fragments that people hand us, taken apart by Postgres' own parser (pglast).

What leaves here is the parser's rendering of what was understood, never the text that came in: a
comment, a second statement or an unbalanced bracket has no way into the statement built around it.
"""

from typing import Any, cast

import pglast
from pglast import ast
from pglast.parser import ParseError
from pglast.stream import RawStream

from undercroft.foundation.problems import Invalid

LONGEST = 10_000


class ExpressionInvalid(Invalid):
    title = "The SQL expression is not valid"
    detail = "{reason}"

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


class TypeInvalid(Invalid):
    title = "The type is not valid"
    detail = "'{type_name}' is not a type that a column can have."

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name=type_name)


def quote(name: str) -> str:
    """A name as a quoted identifier. Postgres has no way to escape a NUL, so we have none."""
    if "\x00" in name:
        raise ExpressionInvalid("A name cannot contain a NUL character.")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Text as a literal, for the few statements that take no parameters (COMMENT)."""
    if "\x00" in text:
        raise ExpressionInvalid("Text cannot contain a NUL character.")
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def expression(text: str) -> str:
    """One scalar expression, as Postgres understands it. Raises `ExpressionInvalid`."""
    target = _only_target(text)
    return _render(target.val)


def policy_conditions(using: str | None, check: str | None) -> str:
    """What a policy lets through, as it stands in CREATE and ALTER POLICY."""
    clauses = (("USING", using), ("WITH CHECK", check))
    return " ".join(
        f"{words} ({expression(condition)})"
        for words, condition in clauses
        if condition is not None
    )


def type_name(text: str) -> str:
    """One type with its modifiers and array bounds. Raises `TypeInvalid`."""
    return _render(_type(text))


def type_schema(text: str) -> str | None:
    """The schema that a type is named with. Raises `TypeInvalid`."""
    names = [part.sval for part in _type(text).names]
    if len(names) > 2:
        raise TypeInvalid(text)  # a catalogue before it, or a column: `notes.body%TYPE`
    return names[0] if len(names) == 2 else None


def _type(text: str) -> Any:
    try:
        found = _only_target(f"CAST(NULL AS {text})").val
    except ExpressionInvalid as error:
        raise TypeInvalid(text) from error
    if not isinstance(found, ast.TypeCast) or not _is_null(found.arg) or _is_set(found.typeName):
        raise TypeInvalid(text)
    return found.typeName


def _render(node: Any) -> str:
    rendered: str = RawStream()(node)
    return rendered


def _only_target(text: str) -> ast.ResTarget:
    if len(text) > LONGEST:
        raise ExpressionInvalid(f"At most {LONGEST} characters are accepted.")
    try:
        statements = pglast.parse_sql(f"SELECT ({text}\n)")
    except ParseError as error:
        raise ExpressionInvalid(str(error.args[0])) from error
    select = statements[0].stmt if len(statements) == 1 else None
    if not isinstance(select, ast.SelectStmt) or _clauses(select) != BARE_SELECT:
        raise ExpressionInvalid("This is not one expression.")
    targets = select.targetList or ()
    if len(targets) != 1 or targets[0].name:
        raise ExpressionInvalid("This is not one expression.")
    target: ast.ResTarget = targets[0]
    return target


def _clauses(select: ast.SelectStmt) -> dict[str, object]:
    """Everything a SELECT says beside its targets: INTO, FROM, WHERE, UNION, LIMIT."""
    return {key: value for key, value in select().items() if key != "targetList" and value}


BARE_SELECT = _clauses(cast(ast.SelectStmt, pglast.parse_sql("SELECT 1")[0].stmt))


def _is_set(node: Any) -> bool:
    return bool(node.setof)


def _is_null(node: object) -> bool:
    return isinstance(node, ast.A_Const) and bool(node.isnull)
