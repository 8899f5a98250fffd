"""Plans a read: builds the tree of embeds and hangs filters, orders and windows on its nodes."""

from collections.abc import Mapping
from dataclasses import dataclass

from undercroft.data.rest.errors import RestError, not_embedded, only_its_alias
from undercroft.data.rest.plan.fields import Fields
from undercroft.data.rest.plan.relations import find_relationship
from undercroft.data.rest.plan.spreads import shape_output
from undercroft.data.rest.plan.tree import (
    Combine,
    Compare,
    EmbedIsNull,
    Node,
    Resolved,
    Selected,
    Sorted,
    walk,
)
from undercroft.data.rest.query_string import Shape
from undercroft.data.rest.ranges import Slice
from undercroft.data.rest.syntax.ast import (
    Condition,
    EmbedPath,
    Filter,
    OrderTerm,
    SelectEmbed,
    SelectField,
    SelectItem,
)
from undercroft.data.rest.syntax.filters import parse_key, parse_logic_key
from undercroft.data.rest.syntax.order import parse_order
from undercroft.data.rest.syntax.select import parse_select
from undercroft.data.schema.model import Catalog, QualifiedName, Relationship


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What to read. `from_source`: the rows come from a write or call, not from the relation.

    A write filters its own target, so `filters_root` is off and only embeds are filtered here.
    """

    table: QualifiedName
    shape: Shape
    windows: Mapping[str, Slice]
    from_source: bool = False
    filters_root: bool = True
    max_rows: int | None = None
    aggregates: bool = False
    legacy_names: bool = True


def plan_read(catalog: Catalog, request: ReadRequest) -> Node:
    """Resolve the whole read, or raise what is wrong with it."""
    return _Planner(catalog, request).plan()


class _Planner:
    def __init__(self, catalog: Catalog, request: ReadRequest) -> None:
        self._catalog = catalog
        self._request = request

    def plan(self) -> Node:
        request = self._request
        root = Node(table=request.table, name=request.table.name, from_source=request.from_source)
        if request.from_source:
            root.alias = request.table.name
        select = request.shape.select
        self._add_items(root, parse_select("*" if select is None else select))
        self._add_filters(root)
        self._add_logic(root)
        self._add_orders(root)
        self._add_windows(root)
        for node in walk(root):
            node.max_rows = request.max_rows
        shape_output(self._catalog, root, aggregates=request.aggregates)
        return root

    def _add_items(self, node: Node, items: tuple[SelectItem, ...]) -> None:
        fields = Fields(self._catalog, node.table)
        for item in items:
            if isinstance(item, SelectField):
                node.select.append(
                    Selected(
                        fields.output(item.field),
                        item.alias,
                        item.cast,
                        item.aggregate,
                        item.aggregate_cast,
                    )
                )
            else:
                node.embeds.append(self._embed(node, item))

    def _embed(self, parent: Node, item: SelectEmbed) -> Node:
        # An embed belongs to the schema of the request, also below a relation found in another.
        origin = QualifiedName(self._request.table.schema, parent.table.name)
        found = find_relationship(self._catalog, origin, item.relation, item.hint)
        depth = parent.depth + 1
        output_name = item.alias or item.relation
        node = Node(
            table=found.foreign_table,
            name=item.relation,
            depth=depth,
            alias=f"{found.foreign_table.name}_{depth}",
            json_alias=f"{found.table.name}_{output_name}_{depth}",
            output_name=output_name,
            parent=parent,
            relationship=found,
            inner=item.inner,
            spread=item.spread,
        )
        self._add_items(node, item.items)
        return node

    def _add_filters(self, root: Node) -> None:
        for item in self._request.shape.filters:
            path, field = parse_key(item.key)
            if path or self._request.filters_root:
                node = self._descend(root, path)
                condition = Filter(field, item.operation, item.slot)
                node.conditions.append(self._condition(node, condition))

    def _add_logic(self, root: Node) -> None:
        for item in self._request.shape.logic:
            path, _, _ = parse_logic_key(item.key)
            if path or self._request.filters_root:
                node = self._descend(root, path)
                node.conditions.append(self._condition(node, item.tree))

    def _condition(self, node: Node, condition: Condition) -> Resolved:
        if not isinstance(condition, Filter):
            parts = tuple(self._condition(node, part) for part in condition.conditions)
            return Combine(condition.operator, condition.negated, parts)
        field, operation, slot = condition
        if operation.operator == "is" and operation.keyword == "null" and not field.path:
            for embed in node.embeds:
                if embed.output_name == field.name:
                    return EmbedIsNull(embed, operation.negated)
        return Compare(Fields(self._catalog, node.table).compared(field), operation, slot)

    def _add_orders(self, root: Node) -> None:
        for key, text in self._request.shape.order:
            node = self._descend(root, parse_key(key)[0])
            node.order = [self._sorted(node, term) for term in parse_order(text)]

    def _sorted(self, node: Node, term: OrderTerm) -> Sorted:
        if term.relation is None:
            field = Fields(self._catalog, node.table).plain(term.field)
            return Sorted(field, term.direction, term.nulls)
        for embed in node.embeds:
            if embed.output_name == term.relation:
                if not embed.to_one:
                    raise _not_sortable(node, embed)
                field = Fields(self._catalog, embed.table).plain(term.field)
                return Sorted(field, term.direction, term.nulls, embed)
        raise not_embedded(term.relation)

    def _add_windows(self, root: Node) -> None:
        for key, window in self._request.windows.items():
            node = self._descend(root, _path(key)) if key else root
            node.window = window

    def _descend(self, root: Node, path: EmbedPath) -> Node:
        """Find the embed at `path`, each step by its alias or its relation's name."""
        node = root
        for step in path:
            node = self._step(node, step)
        return node

    def _step(self, node: Node, step: str) -> Node:
        legacy = self._request.legacy_names
        for embed in node.embeds:
            if step == embed.output_name or (legacy and step == embed.name):
                embed.misnamed |= step != embed.output_name
                return embed
        for embed in node.embeds:
            if step == embed.name:
                raise only_its_alias(step, embed.output_name)
        raise not_embedded(step)


def _path(key: str) -> EmbedPath:
    path, field = parse_key(key)
    return (*path, field.name)


def needed_columns(root: Node, primary_key: tuple[str, ...]) -> list[str]:
    """List the columns that a write or call must return for the read around it to work.

    Those selected or sorted by, the keys that embeds join by, and the primary key for a Location
    header.
    """
    names = {item.field.name for item in root.select}
    if "*" in names:
        return ["*"]
    names |= {term.field.name for term in root.order if term.embed is None}
    for embed in root.embeds:
        found = embed.relationship
        if not isinstance(found, Relationship):
            return ["*"]  # a function takes the whole row
        pairs = found.junction.source_columns if found.junction else found.columns
        names |= {own for own, _ in pairs}
    return sorted(names | set(primary_key))


def _not_sortable(node: Node, embed: Node) -> RestError:
    return RestError(
        400,
        "PGRST118",
        f"A related order on '{embed.output_name}' is not possible",
        details=f"'{node.table.name}' and '{embed.output_name}' do not form a many-to-one"
        " or one-to-one relationship",
    )
