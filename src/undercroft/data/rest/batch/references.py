"""Puts results of earlier steps where later ones refer to them: `{"$ref": "order.id"}`.

`order.id` is a column of the one row that step `order` gave, `order.2.id` of its third row, and
`order.*.id` the list of that column in all its rows.
"""

from collections.abc import Mapping
from typing import Any

from undercroft.data.json_text import loads
from undercroft.data.rest.batch.errors import unresolved
from undercroft.data.rest.batch.steps import REF, dump

Results = Mapping[str, bytes]


def resolve(value: Any, results: Results) -> Any:
    """The value with its references replaced; what holds none comes back as it is."""
    match value:
        case {"$ref": str(path)} if len(value) == 1:
            return _look_up(path, results)
        case dict():
            return {key: resolve(inner, results) for key, inner in value.items()}
        case list():
            return [resolve(inner, results) for inner in value]
    return value


def resolve_where(where: Any, results: Results) -> Any:
    """Like `resolve` for conditions. What a row holds is compared with, never read as operators."""
    if not isinstance(where, dict):
        return where
    found = {}
    for name, value in where.items():
        resolved = resolve(value, results)
        is_reference = isinstance(value, dict) and set(value) == {REF}
        found[name] = (
            dump(resolved).decode() if is_reference and isinstance(resolved, dict) else resolved
        )
    return found


def _look_up(path: str, results: Results) -> Any:
    name, _, rest = path.partition(".")
    rows = loads(results[name])
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        if rest:
            raise unresolved(f"'{path}': step '{name}' gave a single value; refer to '{name}'.")
        return rows
    place, dot, column = rest.partition(".")
    if place == "*":
        return [_column(row, column, path) for row in rows]
    if dot and place.isascii() and place.isdigit():
        if int(place) >= len(rows):
            raise unresolved(f"'{path}': step '{name}' gave {len(rows)} rows.")
        return _column(rows[int(place)], column, path)
    if len(rows) != 1:
        hint = f"'{name}.0.{rest}' is the first of them, '{name}.*.{rest}' all."
        raise unresolved(f"'{path}': step '{name}' gave {len(rows)} rows, not one. {hint}")
    return _column(rows[0], rest, path)


def _column(row: Any, column: str, path: str) -> Any:
    if not isinstance(row, dict) or column not in row:
        raise unresolved(f"'{path}': the row has no '{column}'.")
    return row[column]
