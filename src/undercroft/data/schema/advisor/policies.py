"""The rules that read policy expressions: what is called for every row, and what lacks an index.

Both look at the tree that Postgres' parser makes of the stored expression. A call inside a
sub-select of its own is evaluated once a statement; what is compared with one can be looked up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pglast
from pglast import ast, enums
from pglast.parser import ParseError
from pglast.stream import RawStream

from undercroft.data.schema.advisor.findings import Finding, Rule, Severity
from undercroft.data.sql_text import quote

PER_ROW = Rule(
    "policy_calls_per_row",
    Severity.WARNING,
    "A policy calls a function about the caller for every row instead of once a statement.",
)
UNINDEXED = Rule(
    "policy_without_index",
    Severity.WARNING,
    "A policy compares a column that no index begins with: every statement reads the whole table.",
)
# Functions that answer the same for all rows of a statement.
ABOUT_THE_CALLER = frozenset({"current_setting"})
AUTH = "auth"
COMPARISONS = (enums.A_Expr_Kind.AEXPR_OP, enums.A_Expr_Kind.AEXPR_OP_ANY)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as the catalogue has it; `indexed` are the columns that some index begins with."""

    schema: str
    table: str
    name: str
    using: str | None
    check: str | None
    indexed: Sequence[str]

    @property
    def object(self) -> str:
        return f"{quote(self.schema)}.{quote(self.table)} {quote(self.name)}"


def look_at(policy: Policy) -> Iterator[Finding]:
    parsed = [(part, _parse(text)) for part, text in _parts(policy) if text is not None]
    trees = [(part, tree) for part, tree in parsed if tree is not None]
    called: list[str] = []
    changed = []
    for clause, tree in trees:
        wrapped = _wrap(tree, called)
        if wrapped is not None:
            changed.append(f"{clause} ({RawStream()(wrapped)})")
    if called:
        names = ", ".join(dict.fromkeys(called))
        target = f"{quote(policy.schema)}.{quote(policy.table)}"
        fix = f"ALTER POLICY {quote(policy.name)} ON {target} {' '.join(changed)};"
        sentence = f"{names} is called for every row."
        yield Finding(PER_ROW.code, PER_ROW.severity, policy.object, sentence, fix)
    using = next((tree for part, tree in trees if part == "USING"), None)
    columns = _compared(using) if using is not None else ()
    for column in dict.fromkeys(columns):
        if column not in policy.indexed:
            fix = f"CREATE INDEX ON {quote(policy.schema)}.{quote(policy.table)} ({quote(column)});"
            sentence = f"It compares {quote(column)}, which no index begins with."
            yield Finding(UNINDEXED.code, UNINDEXED.severity, policy.object, sentence, fix)


def _parts(policy: Policy) -> Iterator[tuple[str, str | None]]:
    yield "USING", policy.using
    yield "WITH CHECK", policy.check


def _parse(text: str) -> Any:
    """The tree of one expression; None for words that are newer than our parser."""
    try:
        return _statement(f"SELECT ({text})").targetList[0].val
    except ParseError:
        return None


def _statement(sql: str) -> Any:
    return pglast.parse_sql(sql)[0].stmt


def _wrap(node: Any, called: list[str]) -> Any:
    """A copy with every call about the caller in a sub-select; None when there was none."""
    before = len(called)
    copy = _wrapped(node, called)
    return copy if len(called) > before else None


def _wrapped(node: Any, called: list[str]) -> Any:
    if isinstance(node, tuple):
        return tuple(_wrapped(item, called) for item in node)
    if not isinstance(node, ast.Node) or isinstance(node, ast.SubLink):
        return node
    if isinstance(node, ast.FuncCall) and _is_about_the_caller(node):
        called.append(".".join(_names(node)) + "()")
        return _statement(f"SELECT (SELECT {RawStream()(node)})").targetList[0].val
    for name in node:
        value = getattr(node, name)
        if isinstance(value, ast.Node | tuple):
            setattr(node, name, _wrapped(value, called))
    return node


def _names(call: Any) -> list[str]:
    return [part.sval for part in call.funcname]


def _is_about_the_caller(call: Any) -> bool:
    names = _names(call)
    known = names[-1] in ABOUT_THE_CALLER or names[:-1] == [AUTH]
    return known and not _has_column(call.args)


def _compared(node: Any) -> Iterator[str]:
    """Columns of the table itself that stand opposite a value known before the rows are read."""
    if isinstance(node, tuple):
        for item in node:
            yield from _compared(item)
        return
    if isinstance(node, ast.SubLink):
        if node.subLinkType == enums.SubLinkType.ANY_SUBLINK:
            yield from _column(node.testexpr)
        return
    if isinstance(node, ast.A_Expr) and node.kind in COMPARISONS and _is_equality(node):
        for one, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
            if _asks(other) and not _has_column(other):
                yield from _column(one)
    if isinstance(node, ast.BoolExpr):
        yield from _compared(node.args)


def _is_equality(node: Any) -> bool:
    return bool(node.name[-1].sval == "=")


def _column(node: Any) -> Iterator[str]:
    while isinstance(node, ast.TypeCast):
        node = node.arg
    if isinstance(node, ast.ColumnRef):
        last: Any = node.fields[-1] if node.fields else None
        if isinstance(last, ast.String) and last.sval:
            yield last.sval


def _asks(node: Any) -> bool:
    """Whether a value comes from a call or a query, and is no plain constant."""
    return any(isinstance(found, ast.SubLink | ast.FuncCall) for found in _walk(node))


def _has_column(node: Any) -> bool:
    return any(isinstance(found, ast.ColumnRef) for found in _walk(node, into_queries=False))


def _walk(node: Any, *, into_queries: bool = True) -> Iterator[ast.Node]:
    if isinstance(node, tuple):
        for item in node:
            yield from _walk(item, into_queries=into_queries)
    elif isinstance(node, ast.Node):
        yield node
        if isinstance(node, ast.SubLink) and not into_queries:
            return
        for name in node:
            yield from _walk(getattr(node, name), into_queries=into_queries)
