"""Shapes what a tree puts out: stars, names, and the columns and aggregates of spread embeds."""

from undercroft.data.rest.errors import RestError
from undercroft.data.rest.plan.fields import Fields
from undercroft.data.rest.plan.tree import Node, Selected, Spread, embed_as_jsonb, walk
from undercroft.data.rest.syntax.ast import Field
from undercroft.data.schema.model import Catalog


def shape_output(catalog: Catalog, root: Node, *, aggregates: bool) -> None:
    """Expand and name what every node selects, then hand spread columns up to their parents."""
    _expand(catalog, root, aggregated=False)
    _name(root)
    if any(item.aggregate for node in walk(root) for item in node.select):
        if not aggregates:
            raise RestError(400, "PGRST123", "Use of aggregate functions is not allowed")
        embed_as_jsonb(root)  # groups compare what is embedded
    _spread(root)


def _expand(catalog: Catalog, node: Node, *, aggregated: bool) -> None:
    """Replace `*` by columns where PostgreSQL's own star would not do.

    That is under an aggregate, which groups by the other columns; in a to-many spread, which
    collects each column; in one that embeds, whose star would be of its embeds, too; and where a
    domain has a representation.
    """
    aggregated = aggregated or node.spread_to_many or any(item.aggregate for item in node.select)
    fields = Fields(catalog, node.table)
    if aggregated or fields.has_representations or (node.spread and node.embeds):
        node.select = [
            expanded
            for item in node.select
            for expanded in _expand_item(fields, item, spread=node.spread)
        ]
    for embed in node.embeds:
        _expand(catalog, embed, aggregated=aggregated)


def _expand_item(fields: Fields, item: Selected, *, spread: bool) -> list[Selected]:
    if item.field.name != "*" or item.field.path:
        return [item]
    if item.aggregate is None:
        columns = fields.columns
        return [item._replace(field=fields.output(Field(column.name))) for column in columns] or [
            item
        ]
    # A count over a spread counts the joined rows, not those of a subquery, so it needs the row.
    return [item._replace(field=item.field._replace(whole_row=True))] if spread else [item]


def _name(node: Node) -> None:
    node.select = [_named(item) for item in node.select]
    for embed in node.embeds:
        _name(embed)


def _named(item: Selected) -> Selected:
    if item.alias is not None:
        return item
    if item.aggregate is not None:
        return item._replace(alias="count") if item.field.whole_row else item
    if item.field.path:
        keys = [step.operand for step in item.field.path if not step.is_index]
        return item._replace(alias=keys[-1] if keys else item.field.name)
    if item.field.transform is not None:
        return item._replace(alias=item.field.name)
    return item


def _spread(node: Node) -> None:
    """Collect from the leaves up, so that nested spreads arrive where they end."""
    for embed in node.embeds:
        _spread(embed)
        if embed.spread_to_many and _is_aggregated(embed):
            raise RestError(
                400,
                "PGRST127",
                "Feature not implemented",
                details="Aggregates are not implemented for one-to-many or many-to-many spreads.",
            )
    for embed in node.embeds:
        if embed.spread:
            embed.spreads = _spread_columns(embed)


def _is_aggregated(node: Node) -> bool:
    return any(item.aggregate for item in node.select) or any(
        column.aggregate for embed in node.embeds for column in embed.spreads
    )


def _spread_columns(node: Node) -> list[Spread]:
    """List what the parent takes over; aggregates move to the parent, which has the groups."""
    columns = [
        Spread(
            item.output_name,
            alias=item.alias if item.aggregate else None,
            aggregate=item.aggregate,
            aggregate_cast=item.aggregate_cast,
        )
        for item in node.select
    ]
    node.select = [item._replace(aggregate=None, aggregate_cast=None) for item in node.select]
    for embed in node.embeds:
        if embed.spread:
            columns += embed.spreads
            embed.spreads = [Spread(column.name) for column in embed.spreads]
        elif not embed.is_empty:
            columns.append(Spread(embed.output_name))
    return columns
