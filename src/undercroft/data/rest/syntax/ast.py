"""The words of a request. Structure only: values of filters travel beside it, as parameters.

That split is what lets one compiled statement serve every request of the same shape.
"""

from typing import NamedTuple


class JsonStep(NamedTuple):
    """One arrow into a JSON value: `->` or, `as_text`, `->>`, by key or by array index."""

    operand: str
    is_index: bool
    as_text: bool


class Field(NamedTuple):
    """A column, or a place inside a JSON or composite column."""

    name: str
    path: tuple[JsonStep, ...] = ()


class SelectField(NamedTuple):
    """`alias:field::cast.aggregate()::aggregate_cast`; `count()` alone has the field `*`."""

    field: Field
    alias: str | None = None
    cast: str | None = None
    aggregate: str | None = None
    aggregate_cast: str | None = None


class SelectEmbed(NamedTuple):
    """`alias:relation!hint!inner(...)`, or `...relation(...)` when its columns are spread."""

    relation: str
    items: "tuple[SelectField | SelectEmbed, ...]"
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False


SelectItem = SelectField | SelectEmbed


class Operation(NamedTuple):
    """What a filter does with its value. `keyword` is the operand of `is`, which has no value."""

    operator: str
    negated: bool = False
    quantifier: str | None = None
    language: str | None = None
    keyword: str | None = None


class Filter(NamedTuple):
    """`slot` is the index of the value among the values of the request."""

    field: Field
    operation: Operation
    slot: int | None


class Logic(NamedTuple):
    """`and` or `or` over conditions, possibly negated."""

    operator: str
    negated: bool
    conditions: "tuple[Filter | Logic, ...]"


Condition = Filter | Logic


class OrderTerm(NamedTuple):
    """`field.direction.nulls`, or `relation(field)…` to sort by a to-one embed."""

    field: Field
    direction: str | None = None
    nulls: str | None = None
    relation: str | None = None


EmbedPath = tuple[str, ...]
