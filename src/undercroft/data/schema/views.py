"""Follows the columns of views back to the tables they come from.

PostgreSQL keeps, for every column a view selects, the table and column it originates from, in the
parse tree of the view's rule. We read those numbers and nothing else of the tree.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from undercroft.data.schema.model import QualifiedName

# Backslash escapes protect braces inside names; every other brace opens or closes a node.
_TOKEN = re.compile(r"\\.|[{}]|:(\w+)(?: (\d+))?", re.DOTALL)
_QUERY, _ENTRY = 1, 2  # brace depths of the view's query and of its target entries

Origin = tuple[int, int]  # oid of a relation, number of its column


@dataclass(frozen=True, slots=True)
class View:
    """`origins` maps a column's number to the relation and column it selects."""

    oid: int
    name: QualifiedName
    columns: Mapping[int, str]
    origins: Mapping[int, Origin]


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key (p), or the referencing (f) or referenced (r) side of a foreign key."""

    relation: int
    table: QualifiedName
    constraint: str
    kind: str
    columns: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class ViewKey:
    """A key that a view shows whole.

    `columns` pairs each column of the key with every name the view gives it.
    """

    key: Key
    view: QualifiedName
    columns: tuple[tuple[str, tuple[str, ...]], ...]

    def choices(self) -> Iterable[tuple[str, ...]]:
        """Each way to name all columns of the key in the view."""
        return product(*(names for _, names in self.columns))


def read_origins(tree: str) -> dict[int, Origin]:
    """Read the origin of each column in the target list of a rule's outermost query."""
    origins: dict[int, Origin] = {}
    depth = 0
    in_target_list = False
    entry: dict[str, int] = {}
    for token in _TOKEN.finditer(tree):
        field, number = token.group(1), token.group(2)
        if field is None:
            text = token.group()
            if text == "{":
                depth += 1
                if depth == _ENTRY:
                    entry = {}
            elif text == "}":
                if depth == _ENTRY and in_target_list and entry.get("resorigtbl"):
                    origins[entry["resno"]] = (entry["resorigtbl"], entry["resorigcol"])
                depth -= 1
        elif depth == _QUERY:
            in_target_list = field == "targetList"
        elif depth == _ENTRY and number is not None:
            entry[field] = int(number)
    return origins


def find_view_keys(views: Iterable[View], keys: Iterable[Key]) -> list[ViewKey]:
    """Keys of tables that are visible through views, also through views over views."""
    by_oid = {view.oid: view for view in views}
    by_relation: dict[int, list[Key]] = {}
    for key in keys:
        by_relation.setdefault(key.relation, []).append(key)
    found = []
    for view in by_oid.values():
        sources = _sources(view, by_oid)
        for relation in sorted({relation for relation, _ in sources}):
            for key in by_relation.get(relation, ()):
                names = [
                    (name, tuple(sources.get((relation, number), ())))
                    for number, name in key.columns
                ]
                if all(view_names for _, view_names in names):
                    found.append(ViewKey(key, view.name, tuple(names)))
    return found


def _sources(view: View, by_oid: Mapping[int, View]) -> dict[Origin, list[str]]:
    """Every relation's column behind the view, near or far, with the view's names for it."""
    sources: dict[Origin, list[str]] = {}
    for number, name in view.columns.items():
        origin = view.origins.get(number)
        seen: set[Origin] = set()
        while origin is not None and origin not in seen:
            seen.add(origin)
            sources.setdefault(origin, []).append(name)
            below = by_oid.get(origin[0])
            origin = below.origins.get(origin[1]) if below else None
    return sources
