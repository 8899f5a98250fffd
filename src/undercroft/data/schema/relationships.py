"""Derives every way to join the exposed relations from foreign keys, views and functions."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

from undercroft.data.schema.model import (
    AnyRelationship,
    Cardinality,
    ComputedRelationship,
    Junction,
    QualifiedName,
    Relationship,
    Table,
)
from undercroft.data.schema.views import ViewKey

RelationshipMap = dict[tuple[QualifiedName, str], tuple[AnyRelationship, ...]]


def derive_relationships(
    foreign_keys: Sequence[Relationship],
    view_keys: Sequence[ViewKey],
    computed: Sequence[ComputedRelationship],
    tables: Mapping[QualifiedName, Table],
) -> RelationshipMap:
    """All relationships between exposed relations, by origin and schema of the other end."""
    direct = [*foreign_keys, *_through_views(foreign_keys, view_keys)]
    every = [*direct, *_inverse(direct), *_many_to_many(direct, tables)]
    visible = [found for found in every if _is_exposed(found, tables)]
    index = _index(visible, [found for found in computed if found.foreign_table in tables])
    return dict.fromkeys(_joined_in_hiding(direct, tables), ()) | index


def _joined_in_hiding(
    direct: Sequence[Relationship], tables: Mapping[QualifiedName, Table]
) -> Iterable[tuple[QualifiedName, str]]:
    """Name the ends of tables that nobody may see: related, though there is nothing to embed."""
    ends: dict[QualifiedName, list[Relationship]] = {}
    for key in direct:
        if key.table not in tables and key.foreign_table in tables:
            ends.setdefault(key.table, []).append(key)
    for keys in ends.values():
        for one, other in permutations(keys, 2):
            yield one.foreign_table, other.foreign_table.schema


def _through_views(
    foreign_keys: Sequence[Relationship], view_keys: Sequence[ViewKey]
) -> Iterable[Relationship]:
    """Let a foreign key join views as well, when they show all of its columns."""
    sides: dict[tuple[str, QualifiedName, str], list[ViewKey]] = {}
    for found in view_keys:
        sides.setdefault((found.key.kind, found.key.table, found.key.constraint), []).append(found)
    for key in foreign_keys:
        own = [
            (view.view, names)
            for view in sides.get(("f", key.table, key.constraint), ())
            for names in view.choices()
        ]
        other = [
            (view.view, names)
            for view in sides.get(("r", key.foreign_table, key.constraint), ())
            for names in view.choices()
        ]
        own_columns = tuple(column for column, _ in key.columns)
        other_columns = tuple(column for _, column in key.columns)
        for view, names in own:
            yield _renamed(key, (view, names, True), (key.foreign_table, other_columns, False))
        for view, names in other:
            yield _renamed(key, (key.table, own_columns, False), (view, names, True))
        for own_view, own_names in own:
            for other_view, other_names in other:
                yield _renamed(key, (own_view, own_names, True), (other_view, other_names, True))


def _renamed(
    key: Relationship,
    own: tuple[QualifiedName, tuple[str, ...], bool],
    other: tuple[QualifiedName, tuple[str, ...], bool],
) -> Relationship:
    table, columns, table_is_view = own
    foreign_table, foreign_columns, foreign_is_view = other
    return Relationship(
        table=table,
        foreign_table=foreign_table,
        cardinality=key.cardinality,
        constraint=key.constraint,
        columns=tuple(zip(columns, foreign_columns, strict=True)),
        table_is_view=table_is_view,
        foreign_is_view=foreign_is_view,
        is_self=table == foreign_table,
    )


def _inverse(direct: Sequence[Relationship]) -> Iterable[Relationship]:
    for key in direct:
        yield Relationship(
            table=key.foreign_table,
            foreign_table=key.table,
            cardinality=Cardinality.ONE_TO_ONE
            if key.cardinality is Cardinality.ONE_TO_ONE
            else Cardinality.ONE_TO_MANY,
            constraint=key.constraint,
            columns=tuple((other, own) for own, other in key.columns),
            table_is_view=key.foreign_is_view,
            foreign_is_view=key.table_is_view,
            is_self=key.is_self,
            inverse=True,
        )


def _many_to_many(
    direct: Sequence[Relationship], tables: Mapping[QualifiedName, Table]
) -> Iterable[Relationship]:
    """Join two tables through a third whose primary key holds its foreign keys to both."""
    by_table: dict[QualifiedName, list[Relationship]] = {}
    for key in direct:
        if key.cardinality is Cardinality.MANY_TO_ONE and key.table in tables:
            by_table.setdefault(key.table, []).append(key)
    for table, keys in by_table.items():
        primary = set(tables[table].primary_key)
        for source in keys:
            for target in keys:
                own = {column for column, _ in (*source.columns, *target.columns)}
                if source.constraint != target.constraint and own <= primary:
                    yield Relationship(
                        table=source.foreign_table,
                        foreign_table=target.foreign_table,
                        cardinality=Cardinality.MANY_TO_MANY,
                        junction=Junction(
                            table=table,
                            source_constraint=source.constraint,
                            target_constraint=target.constraint,
                            source_columns=tuple((end, own) for own, end in source.columns),
                            target_columns=tuple((end, own) for own, end in target.columns),
                        ),
                        table_is_view=source.foreign_is_view,
                        foreign_is_view=target.foreign_is_view,
                        is_self=source.foreign_table == target.foreign_table,
                    )


def _is_exposed(found: Relationship, tables: Mapping[QualifiedName, Table]) -> bool:
    junction = found.junction
    return (
        found.table in tables
        and found.foreign_table in tables
        and (junction is None or junction.table in tables)
    )


def _index(
    relationships: Iterable[Relationship], computed: Sequence[ComputedRelationship]
) -> RelationshipMap:
    """Index by origin; a computed one replaces those detected to the relation of its name."""
    replaced = {(found.table, found.function) for found in computed}
    index: dict[tuple[QualifiedName, str], list[AnyRelationship]] = {}
    for relationship in relationships:
        if (relationship.table, relationship.foreign_table) not in replaced:
            key = (relationship.table, relationship.foreign_table.schema)
            index.setdefault(key, []).append(relationship)
    for function in computed:
        index.setdefault((function.table, function.function.schema), []).append(function)
    return {key: tuple(found) for key, found in index.items()}
