"""SQL of single expressions: fields, select items, conditions, order terms."""

from undercroft.data.rest.plan.tree import (
    Combine,
    Compare,
    EmbedIsNull,
    ResolvedField,
    Selected,
    Sorted,
    Spread,
)
from undercroft.data.rest.query.sql import comma, ident, literal, slot
from undercroft.data.rest.syntax.ast import JsonStep, Operation
from undercroft.data.rest.syntax.filters import FULL_TEXT, IS_KEYWORDS, QUANTIFIABLE, SIMPLE


def column(qualifier: str, name: str) -> str:
    """Write a column of `qualifier`, which is SQL already."""
    return f"{qualifier}.*" if name == "*" else f"{qualifier}.{ident(name)}"


def field(qualifier: str, resolved: ResolvedField) -> str:
    if resolved.whole_row:
        return qualifier
    base = column(qualifier, resolved.name)
    if not resolved.path:
        return base
    if resolved.to_json:
        base = f"to_jsonb({base})"
    return base + "".join(_json_step(step) for step in resolved.path)


def _json_step(step: JsonStep) -> str:
    operand = f"{step.operand}" if step.is_index else literal(step.operand)
    if step.is_index:
        operand = f"{literal(operand)}::int"
    return f"{'->>' if step.as_text else '->'}{operand}"


def selected(qualifier: str, item: Selected) -> str:
    expression = field(qualifier, item.field)
    if item.field.transform is not None:
        expression = f"{item.field.transform}({expression})"
    expression = _cast(expression, item.cast)
    expression = _aggregated(expression, item.aggregate, item.aggregate_cast)
    return f"{expression} AS {ident(item.alias)}" if item.alias else expression


def spread(json_alias: str, item: Spread) -> str:
    """Write a column taken over from a spread to-one embed."""
    expression = column(ident(json_alias), item.name)
    expression = _aggregated(expression, item.aggregate, item.aggregate_cast)
    return f"{expression} AS {ident(item.alias)}" if item.alias else expression


def _aggregated(expression: str, aggregate: str | None, cast: str | None) -> str:
    return _cast(f"{aggregate}({expression})", cast) if aggregate else expression


def _cast(expression: str, cast: str | None) -> str:
    # The grammar lets only words through as a type. Quoted, `int` and its like would not be found.
    return f"CAST({expression} AS {cast})" if cast else expression


def condition(qualifier: str, resolved: Compare | EmbedIsNull | Combine) -> str:
    if isinstance(resolved, Combine):
        parts = f" {resolved.operator} ".join(
            condition(qualifier, part) for part in resolved.conditions
        )
        return f"{_not(negated=resolved.negated)}({parts})"
    if isinstance(resolved, EmbedIsNull):
        # DISTINCT, since a row of nothing but nulls is null to IS NULL.
        distinct = "IS DISTINCT FROM" if resolved.negated else "IS NOT DISTINCT FROM"
        return f"{ident(resolved.embed.json_alias)} {distinct} NULL"
    return compare(qualifier, resolved)


def compare(qualifier: str, resolved: Compare) -> str:
    operation = resolved.operation
    left = field(qualifier, resolved.field)
    if operation.operator in FULL_TEXT:
        expression = _full_text(left, resolved)
    elif operation.operator == "is":
        expression = f"{left} IS {IS_KEYWORDS[operation.keyword or 'null']}"
    else:
        assert resolved.slot is not None
        expression = f"{left} {_operand(operation, resolved.field, slot(resolved.slot))}"
    return f"{_not(negated=operation.negated)}{expression}"


def _not(*, negated: bool) -> str:
    return "NOT " if negated else ""


def _full_text(left: str, resolved: Compare) -> str:
    assert resolved.slot is not None
    operation = resolved.operation
    language = f"{literal(operation.language)}, " if operation.language else ""
    document = f"to_tsvector({language}{left})" if resolved.field.to_tsvector else left
    query = f"{FULL_TEXT[operation.operator]}({language}{slot(resolved.slot)})"
    return f"{document} @@ {query}"


def _operand(operation: Operation, resolved: ResolvedField, value: str) -> str:
    operator = operation.operator
    if operator == "in":
        # One array parameter: an empty list is valid, and any length is one statement.
        return f"= ANY ({_representation_array(resolved, value)})"
    if operator == "isdistinct":
        return f"IS DISTINCT FROM {value}"
    if operator in SIMPLE:
        return f"{SIMPLE[operator]} {_representation(resolved, value)}"
    if operator not in ("like", "ilike"):
        value = _representation(resolved, value)
    quantified = f"{operation.quantifier}({value})" if operation.quantifier else value
    return f"{QUANTIFIABLE[operator]} {quantified}"


def _representation(resolved: ResolvedField, value: str) -> str:
    return f"{resolved.transform}({value})" if resolved.transform else value


def _representation_array(resolved: ResolvedField, value: str) -> str:
    if resolved.transform is None:
        return value
    return f"SELECT {resolved.transform}(unnest({value}::text[]))"


def ordered(qualifier: str, term: Sorted) -> str:
    source = ident(term.embed.json_alias) if term.embed else qualifier
    words = [field(source, term.field)]
    if term.direction:
        words.append(term.direction)
    if term.nulls:
        words.append("nulls first" if term.nulls == "nullsfirst" else "nulls last")
    return " ".join(words)


def order_by(qualifier: str, terms: list[Sorted]) -> str:
    return f" ORDER BY {comma([ordered(qualifier, term) for term in terms])}" if terms else ""
