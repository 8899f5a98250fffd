"""The plan of a read: a tree of relations, each with its columns, conditions, order and window.

Built by `plan.read`, turned into SQL by `query.read`. Mutable while it is being built, not after.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from undercroft.data.rest.ranges import Slice
from undercroft.data.rest.syntax.ast import JsonStep, Operation
from undercroft.data.schema.model import AnyRelationship, QualifiedName

SOURCE = "pgrst_source"  # the CTE that a write or a call fills and the read around it reads


class ResolvedField(NamedTuple):
    """A field with what the catalogue knows of it.

    `to_json`: the path needs `to_jsonb` first, `to_tsvector`: so does full-text search with its
    like. `transform`: a function of a domain representation.
    `whole_row`: not a column but the row itself, for a count over a spread.
    """

    name: str
    path: tuple[JsonStep, ...] = ()
    to_json: bool = False
    transform: str | None = None
    to_tsvector: bool = False
    whole_row: bool = False


class Selected(NamedTuple):
    """One item of a select list."""

    field: ResolvedField
    alias: str | None = None
    cast: str | None = None
    aggregate: str | None = None
    aggregate_cast: str | None = None

    @property
    def output_name(self) -> str:
        return self.alias or self.field.name


class Spread(NamedTuple):
    """One column that a parent takes over from a spread embed, aggregated there if at all."""

    name: str
    alias: str | None = None
    aggregate: str | None = None
    aggregate_cast: str | None = None


class Compare(NamedTuple):
    """A filter on a column."""

    field: ResolvedField
    operation: Operation
    slot: int | None


class EmbedIsNull(NamedTuple):
    """`embed=is.null`: whether the embed found nothing."""

    embed: "Node"
    negated: bool


class Combine(NamedTuple):
    """`and` or `or` over conditions."""

    operator: str
    negated: bool
    conditions: "tuple[Compare | EmbedIsNull | Combine, ...]"


Resolved = Compare | EmbedIsNull | Combine


class Sorted(NamedTuple):
    """One term of an order; `embed` when it sorts by a column of a to-one embed."""

    field: ResolvedField
    direction: str | None
    nulls: str | None
    embed: "Node | None" = None


@dataclass(slots=True, eq=False)
class Node:
    """One relation of the tree.

    `alias` is the name it has in the query, `json_alias` that of the subquery around it.
    `max_rows` binds it without a `window`. `as_jsonb`: what it embeds is compared or written as
    text, so it is jsonb instead of the json that costs less. `misnamed`: a filter, order or
    window calls it by its relation though it has an alias.
    """

    table: QualifiedName
    name: str
    depth: int = 0
    alias: str | None = None
    json_alias: str = ""
    output_name: str = ""
    from_source: bool = False
    parent: "Node | None" = None
    relationship: AnyRelationship | None = None
    inner: bool = False
    spread: bool = False
    select: list[Selected] = field(default_factory=list)
    embeds: "list[Node]" = field(default_factory=list)
    spreads: list[Spread] = field(default_factory=list)
    conditions: list[Resolved] = field(default_factory=list)
    order: list[Sorted] = field(default_factory=list)
    window: Slice | None = None
    max_rows: int | None = None
    as_jsonb: bool = False
    misnamed: bool = False

    @property
    def to_one(self) -> bool:
        return self.relationship is not None and self.relationship.to_one

    @property
    def spread_to_one(self) -> bool:
        return self.spread and self.to_one

    @property
    def spread_to_many(self) -> bool:
        return self.spread and not self.to_one

    @property
    def is_empty(self) -> bool:
        """An embed that selects nothing, used only to filter by."""
        return not self.select and all(embed.is_empty for embed in self.embeds)


def walk(node: Node) -> Iterator[Node]:
    yield node
    for embed in node.embeds:
        yield from walk(embed)


def embed_as_jsonb(root: Node) -> None:
    for node in walk(root):
        node.as_jsonb = True
