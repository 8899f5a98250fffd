"""Finds the relationship an embed means, or says why there is none or more than one."""

from collections.abc import Iterable, Sequence
from typing import Any

from undercroft.data.rest.errors import RestError
from undercroft.data.rest.plan.hints import closest
from undercroft.data.schema.model import (
    AnyRelationship,
    Cardinality,
    Catalog,
    ComputedRelationship,
    QualifiedName,
    Relationship,
)

_ORDER = [
    Cardinality.ONE_TO_MANY,
    Cardinality.MANY_TO_ONE,
    Cardinality.ONE_TO_ONE,
    Cardinality.MANY_TO_MANY,
]


def find_relationship(
    catalog: Catalog, origin: QualifiedName, target: str, hint: str | None
) -> AnyRelationship:
    """Find the one relationship from `origin` to `target`, both within one schema."""
    known = catalog.relationships.get((origin, origin.schema), ())
    matching = [found for found in known if _matches(found, target, hint)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise _none_found(catalog, origin, target, hint)
    raise _ambiguous(origin, target, [item for item in matching if isinstance(item, Relationship)])


def _matches(found: AnyRelationship, target: str, hint: str | None) -> bool:
    if isinstance(found, ComputedRelationship):
        return target == found.function.name
    named = target == found.foreign_table.name
    if found.is_self:
        return _matches_self(found, target, hint, named=named)
    if hint is not None:
        return named and (
            hint == _constraint(found)
            or hint in _single_column(found)
            or (found.junction is not None and hint == found.junction.table.name)
        )
    by_key = not found.foreign_is_view and (
        target == _constraint(found) or target in _single_column(found)[:1]
    )
    return named or by_key


def _matches_self(found: Relationship, target: str, hint: str | None, *, named: bool) -> bool:
    """Tell the two directions of a self-reference apart.

    The table's name means its children, the column's name the parent.
    """
    own_and_other = _single_column(found)
    if hint is not None:
        children = found.cardinality is Cardinality.ONE_TO_MANY
        return named and children and hint in own_and_other[1:]
    if found.cardinality is Cardinality.ONE_TO_MANY:
        return named
    return found.cardinality is Cardinality.MANY_TO_ONE and target in own_and_other[:1]


def _constraint(found: Relationship) -> str | None:
    return found.constraint if found.junction is None else None


def _single_column(found: Relationship) -> tuple[str, ...]:
    return found.columns[0] if len(found.columns) == 1 else ()


def _none_found(
    catalog: Catalog, origin: QualifiedName, target: str, hint: str | None
) -> RestError:
    using = f"' using the hint '{hint}" if hint is not None else ""
    return RestError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{origin.name}' and '{target}' in the schema cache",
        details=f"Searched for a foreign key relationship between '{origin.name}' and"
        f" '{target}{using}' in the schema '{origin.schema}', but no matches were found.",
        hint=_suggestion(catalog, origin, target),
    )


def _suggestion(catalog: Catalog, origin: QualifiedName, target: str) -> str | None:
    known = catalog.relationships.get((origin, origin.schema))
    if known is None:
        parents = {
            table.name
            for table, schema in catalog.relationships
            if table.schema == schema == origin.schema
        }
        parent = closest(origin.name, sorted(parents))
        return parent and f"Perhaps you meant '{parent}' instead of '{origin.name}'."
    names = {found.foreign_table.name for found in known}
    if target in names:
        return None  # what is wrong is the hint
    child = closest(target, sorted(names))
    return child and f"Perhaps you meant '{child}' instead of '{target}'."


def _ambiguous(origin: QualifiedName, target: str, found: Sequence[Relationship]) -> RestError:
    ordered = sorted(
        found,
        key=lambda item: (item.foreign_table, _ORDER.index(item.cardinality), item.constraint),
    )
    choices = ", ".join(
        f"'{item.foreign_table.name}!"
        f"{item.junction.table.name if item.junction else item.constraint}'"
        for item in ordered
    )
    return RestError(
        300,
        "PGRST201",
        "Could not embed because more than one relationship was found for"
        f" '{origin.name}' and '{target}'",
        details=[_describe(item) for item in ordered],
        hint=f"Try changing '{target}' to one of the following: {choices}."
        " Find the desired relationship in the 'details' key.",
    )


def _describe(found: Relationship) -> dict[str, Any]:
    own, other = found.table.name, found.foreign_table.name
    if found.junction is not None:
        junction = found.junction
        source = _columns(column for _, column in junction.source_columns)
        destination = _columns(column for _, column in junction.target_columns)
        relationship = (
            f"{junction.table.name} using {junction.source_constraint}{source}"
            f" and {junction.target_constraint}{destination}"
        )
    else:
        relationship = (
            f"{found.constraint} using {own}{_columns(column for column, _ in found.columns)}"
            f" and {other}{_columns(column for _, column in found.columns)}"
        )
    return {
        "cardinality": found.cardinality.value,
        "embedding": f"{own} with {other}",
        "relationship": relationship,
    }


def _columns(names: Iterable[str]) -> str:
    return f"({', '.join(names)})"
