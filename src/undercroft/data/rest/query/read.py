"""SQL of a read: a select for each node of the tree, embeds as lateral joins."""

from undercroft.data.rest.plan.tree import (
    SOURCE,
    Combine,
    Compare,
    EmbedIsNull,
    Node,
    Resolved,
    Sorted,
    Spread,
)
from undercroft.data.rest.query.fields import (
    column,
    condition,
    field,
    order_by,
    ordered,
    selected,
    spread,
)
from undercroft.data.rest.query.sql import comma, ident, qualified, slot
from undercroft.data.rest.ranges import Slice
from undercroft.data.schema.model import ComputedRelationship, Relationship

# ruff: noqa: S608 - all SQL here is made of quoted names and slots

_Item = tuple[str, str | None]  # of a select list, and its aggregate if it is one


def select(node: Node) -> str:
    """Write the query of a node with everything below it."""
    items = [(selected(_qualifier(node), item), item.aggregate) for item in node.select]
    for embed in node.embeds:
        items += _embedded_items(embed)
    if not node.select and not node.embeds:
        items = [(f"{_qualifier(node)}.*", None)]
    columns = [expression for expression, _ in items] + _spread_order_items(node)
    return (
        f"SELECT {comma(columns)} FROM {_from(node)}"
        f"{''.join(_join(embed) for embed in node.embeds)}"
        f"{_where(node)}{_group_by(items)}{_order(node)}{_window(node)}"
    )


def count(node: Node) -> str:
    """Write a query with one row for each row the node has without its window.

    Inner embeds become EXISTS: cheaper than joining, and they must not multiply rows.
    """
    conditions = [_count_condition(node, item) for item in node.conditions]
    conditions += _join_conditions(node)
    conditions += [f"EXISTS ({count(embed)})" for embed in node.embeds if embed.inner]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT 1 FROM {_from(node)}{where}"


def _count_condition(node: Node, item: Resolved) -> str:
    if isinstance(item, Combine):
        parts = f" {item.operator} ".join(_count_condition(node, part) for part in item.conditions)
        return f"{'NOT ' if item.negated else ''}({parts})"
    if isinstance(item, EmbedIsNull):
        return f"{'' if item.negated else 'NOT '}EXISTS ({count(item.embed)})"
    return condition(_qualifier(node), item)


def _qualifier(node: Node) -> str:
    return ident(node.alias) if node.alias else qualified(node.table)


def _from(node: Node) -> str:
    if node.from_source:
        return f"{SOURCE} AS {_qualifier(node)}"
    found = node.relationship
    if found is None:
        return qualified(node.table)
    if isinstance(found, ComputedRelationship):
        assert node.parent is not None
        # The cast picks the right function when it is overloaded, also from a CTE's row.
        row = f"{_row(node.parent)}::{qualified(found.table)}"
        return f"{qualified(found.function)}({row}) AS {_qualifier(node)}"
    source = f"{qualified(node.table)} AS {_qualifier(node)}"
    if found.junction is not None:
        source += f", {qualified(found.junction.table)} AS {_junction(node)}"
    return source


def _row(node: Node) -> str:
    return ident(node.alias) if node.alias else ident(node.table.name)


def _junction(node: Node) -> str:
    return ident(f"{node.json_alias}_junction")


def _join_conditions(node: Node) -> list[str]:
    found = node.relationship
    if not isinstance(found, Relationship) or node.parent is None:
        return []
    own, parent = _qualifier(node), _qualifier(node.parent)
    if found.junction is None:
        return [f"{column(own, other)} = {column(parent, mine)}" for mine, other in found.columns]
    junction = _junction(node)
    return [
        f"{column(own, end)} = {column(junction, key)}"
        for end, key in found.junction.target_columns
    ] + [
        f"{column(parent, end)} = {column(junction, key)}"
        for end, key in found.junction.source_columns
    ]


def _where(node: Node) -> str:
    parts = [condition(_qualifier(node), item) for item in node.conditions]
    parts += _join_conditions(node)
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _embedded_items(embed: Node) -> list[_Item]:
    json_alias = ident(embed.json_alias)
    if embed.spread:
        return [(spread(embed.json_alias, item), item.aggregate) for item in embed.spreads]
    if embed.is_empty:
        return []
    as_type = "::jsonb" if embed.as_jsonb else ""
    if embed.to_one:
        value = f"row_to_json({json_alias}.*)"
    else:
        value = f"COALESCE({json_alias}.{json_alias}, '[]')"
    return [(f"{value}{as_type} AS {ident(embed.output_name)}", None)]


def _join(embed: Node) -> str:
    kind = "INNER" if embed.inner else "LEFT"
    json_alias = ident(embed.json_alias)
    if embed.to_one:
        return f" {kind} JOIN LATERAL ({select(embed)}) AS {json_alias} ON TRUE"
    items = [f"json_agg({json_alias}) AS {json_alias}"]
    if embed.spread:
        items += [_collected(embed, item) for item in embed.spreads]
    rows = f"SELECT {comma(items)} FROM ({select(embed)}) AS {json_alias}"
    on = f"{json_alias}.{json_alias} IS NOT NULL" if embed.inner else "TRUE"
    return f" {kind} JOIN LATERAL ({rows}) AS {json_alias} ON {on}"


def _collected(embed: Node, item: Spread) -> str:
    """Write a column of a to-many spread: all its values as an array, in the embed's order."""
    terms = [
        ordered(ident(embed.json_alias), _by_order_item(embed, number))
        for number in range(len(embed.order))
    ]
    order = f" ORDER BY {comma(terms)}" if terms else ""
    value = column(ident(embed.json_alias), item.name)
    return f"COALESCE(json_agg({value}{order}), '[]')::jsonb AS {ident(item.alias or item.name)}"


def _spread_order_items(node: Node) -> list[str]:
    """Select what a to-many spread is ordered by, since the order happens one query further out."""
    if not node.spread_to_many:
        return []
    return [
        f"{field(ident(term.embed.json_alias) if term.embed else _qualifier(node), term.field)}"
        f" AS {ident(_order_name(node, number))}"
        for number, term in enumerate(node.order)
    ]


def _order_name(node: Node, number: int) -> str:
    return f"{node.json_alias}_{node.order[number].field.name}_{number + 1}"


def _by_order_item(node: Node, number: int) -> Sorted:
    term = node.order[number]
    name = _order_name(node, number)
    return Sorted(term.field._replace(name=name, path=()), term.direction, term.nulls)


def _group_by(items: list[_Item]) -> str:
    """Group by all but the aggregates: by position, as a name may also be another column's."""
    if not any(aggregate for _, aggregate in items):
        return ""
    terms = [str(number) for number, (_, aggregate) in enumerate(items, 1) if aggregate is None]
    return f" GROUP BY {comma(terms)}" if terms else ""


def _order(node: Node) -> str:
    return "" if node.spread_to_many else order_by(_qualifier(node), node.order)


def _window(node: Node) -> str:
    window = node.window or Slice(node.max_rows)
    text = ""
    if window.limit_slot is not None:
        text = f" LIMIT {slot(window.limit_slot)}"
    elif window.limit is not None:
        text = f" LIMIT {window.limit}"
    return text if window.offset_slot is None else f"{text} OFFSET {slot(window.offset_slot)}"


def filter_columns(node: Node) -> set[str]:
    """Name the columns of the node that its conditions look at."""
    names: set[str] = set()
    pending: list[Resolved] = list(node.conditions)
    while pending:
        item = pending.pop()
        if isinstance(item, Combine):
            pending += item.conditions
        elif isinstance(item, Compare):
            names.add(item.field.name)
    return names
