"""What the parts of the document share: types, comments, objects without empty members."""

from typing import Any

Json = dict[str, Any]

_TYPES = {
    "character varying": "string",
    "character": "string",
    "text": "string",
    "boolean": "boolean",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "number",
    "real": "number",
    "double precision": "number",
}
_FORMATS = {"smallint": "int32", "integer": "int32", "bigint": "int64"}


def summary_of(comment: str | None) -> tuple[str | None, str | None]:
    """Take the first line of a comment as a title, the rest as its description."""
    if comment is None:
        return None, None
    first, _, rest = comment.partition("\n")
    return first, rest.lstrip("\n") or None


def without_none(items: Json) -> Json:
    return {name: value for name, value in items.items() if value is not None}


def json_type(name: str) -> str | None:
    if name in ("json", "jsonb"):
        return None
    return _TYPES.get(name, "array" if name.endswith("[]") else "string")


def json_format(name: str) -> str:
    """Give integers the formats that OpenAPI knows; every other type its name in Postgres."""
    return _FORMATS.get(name, name)


def json_items(name: str) -> Json | None:
    if not name.endswith("[]"):
        return None
    return without_none({"type": json_type(name.removesuffix("[]"))})
