"""Tables and the foreign keys between them as nodes and edges, for a diagram."""

from typing import Literal

from pydantic import BaseModel, Field

from undercroft.data.schema.description import Description, ForeignKey, Relation


class NodeColumn(BaseModel):
    name: str
    type: str
    nullable: bool
    primary_key: bool
    foreign_key: bool


class Node(BaseModel):
    """`external`: a table outside of the schemas shown that a foreign key leads to."""

    id: str = Field(examples=["public.notes"])
    schema_name: str = Field(serialization_alias="schema")
    name: str
    kind: Literal["table", "view", "external"]
    columns: list[NodeColumn]


class Edge(BaseModel):
    """From the table with the foreign key to the one that it refers to."""

    id: str
    source: str
    target: str
    source_columns: list[str]
    target_columns: list[str]
    cardinality: Literal["many-to-one", "one-to-one"]


class Graph(BaseModel):
    nodes: list[Node]
    edges: list[Edge]


def draw(description: Description) -> Graph:
    relations = [item for item in description.relations if item.is_table or item.is_view]
    nodes = {node.id: node for node in (_node(item) for item in relations)}
    edges = []
    for relation in relations:
        for found in relation.foreign_keys:
            edges.append(_edge(relation, found))
            target = _id(found.schema_name, found.table)
            nodes.setdefault(target, _external(found))
    return Graph(nodes=list(nodes.values()), edges=edges)


def _node(relation: Relation) -> Node:
    foreign = {name for key in relation.foreign_keys for name in key.columns}
    return Node(
        id=_id(relation.schema_name, relation.name),
        schema_name=relation.schema_name,
        name=relation.name,
        kind="view" if relation.is_view else "table",
        columns=[
            NodeColumn(
                name=column.name,
                type=column.type_text,
                nullable=column.nullable,
                primary_key=column.name in relation.primary_key,
                foreign_key=column.name in foreign,
            )
            for column in relation.columns
        ],
    )


def _external(found: ForeignKey) -> Node:
    return Node(
        id=_id(found.schema_name, found.table),
        schema_name=found.schema_name,
        name=found.table,
        kind="external",
        columns=[],
    )


def _edge(relation: Relation, found: ForeignKey) -> Edge:
    source = _id(relation.schema_name, relation.name)
    return Edge(
        id=f"{source} {found.name}",
        source=source,
        target=_id(found.schema_name, found.table),
        source_columns=found.columns,
        target_columns=found.references,
        cardinality="one-to-one" if found.one_to_one else "many-to-one",
    )


def _id(schema: str, name: str) -> str:
    return f"{schema}.{name}"
