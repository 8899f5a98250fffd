"""Rows, inserts, updates and arguments as TypedDicts, for `postgrest` and `supabase` in Python."""

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence

from undercroft.data.schema.description import (
    Argument,
    Column,
    Description,
    Function,
    PgType,
    Relation,
)

SCALARS = {
    "bool": "bool",
    **dict.fromkeys(("int2", "int4", "int8", "oid"), "int"),
    **dict.fromkeys(("float4", "float8", "numeric"), "float"),
    **dict.fromkeys(("json", "jsonb"), "Any"),
    "void": "None",
    "record": "dict[str, Any]",
}
TEXT_SCHEMAS = ("pg_catalog", "extensions")
HEAD = '''"""Rows of the database as JSON brings them. Made by `undercroft types`; do not edit."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict
'''
RESERVED = frozenset({"Any", "Literal", "NotRequired", "TypedDict", "annotations"})
# Key, type, and whether it may be left out.
Field = tuple[str, str, bool]


def write_python(description: Description, schemas: Sequence[str]) -> str:
    writer = _Writer(description, prefixed=len(schemas) > 1)
    blocks = [HEAD.rstrip("\n"), *writer.blocks()]
    return "\n\n\n".join(blocks) + "\n"


class _Writer:
    def __init__(self, description: Description, *, prefixed: bool) -> None:
        self._all = description
        self._prefixed = prefixed
        self._taken: set[str] = set(RESERVED)
        self._enums = {
            (item.schema_name, item.name): self._name(item.schema_name, item.name)
            for item in description.enums
        }
        self._rows = {
            (item.schema_name, item.name): self._name(item.schema_name, item.name)
            for item in description.relations
        }

    def blocks(self) -> Iterator[str]:
        for item in self._all.enums:
            yield f"{self._enums[item.schema_name, item.name]} = {_literal(item.values)}"
        for relation in self._all.relations:
            yield from self._relation(relation)
        for function in self._all.functions:
            yield from self._function(function)

    def _relation(self, relation: Relation) -> Iterator[str]:
        name = self._rows[relation.schema_name, relation.name]
        fields = [(column.name, self._value(column), False) for column in relation.columns]
        yield _typed_dict(name, fields)
        if relation.insertable and relation.kind != "c":
            yield _typed_dict(self._free(f"{name}Insert"), self._written(relation, insert=True))
        if relation.updatable and relation.kind != "c":
            yield _typed_dict(self._free(f"{name}Update"), self._written(relation, insert=False))

    def _written(self, relation: Relation, *, insert: bool) -> list[Field]:
        return [
            (
                column.name,
                self._value(column),
                not insert or column.nullable or column.has_default,
            )
            for column in relation.columns
            if not column.always
        ]

    def _function(self, function: Function) -> Iterator[str]:
        name = self._name(function.schema_name, f"{function.name}_args")
        arguments = [item for item in function.inputs if item.name]
        if arguments:
            yield _typed_dict(name, [self._argument(item) for item in arguments])
        outputs = function.outputs
        result = self.type(function.returns)
        if len(outputs) > 1 or (outputs and outputs[0].mode == "t"):
            result = self._name(function.schema_name, f"{function.name}_row")
            yield _typed_dict(result, [self._argument(item) for item in outputs])
        alias = self._name(function.schema_name, f"{function.name}_returns")
        yield f"{alias} = {f'list[{result}]' if function.set else result}"

    def _argument(self, item: Argument) -> Field:
        return item.name, self.type(item.type), item.has_default

    def _value(self, column: Column) -> str:
        return self.type(column.type) + (" | None" if column.nullable else "")

    def type(self, number: int) -> str:
        """The Python of a Postgres type as JSON brings it."""
        found = self._all.types.get(number)
        if found is None:
            return "Any"
        if found.element:
            return f"list[{self.type(found.element)}]"
        if found.kind == "d":
            return self.type(found.base)
        return self._named(found)

    def _named(self, found: PgType) -> str:
        if found.kind == "e":
            known = self._enums.get((found.schema_name, found.name))
            return known or _literal(found.values or [])
        if found.kind == "c":
            return self._rows.get((found.schema_name, found.relation), "dict[str, Any]")
        if found.schema_name == "pg_catalog" and found.name in SCALARS:
            return SCALARS[found.name]
        return "str" if found.schema_name in TEXT_SCHEMAS else "Any"

    def _name(self, schema: str, name: str) -> str:
        words = re.split(r"[^0-9A-Za-z]+", f"{schema}_{name}" if self._prefixed else name)
        found = "".join(word[:1].upper() + word[1:] for word in words if word) or "Unnamed"
        return self._free(f"T{found}" if found[0].isdigit() else found)

    def _free(self, name: str) -> str:
        number, found = 1, name
        while found in self._taken or keyword.iskeyword(found):
            number += 1
            found = f"{name}{number}"
        self._taken.add(found)
        return found


def _typed_dict(name: str, fields: Sequence[Field]) -> str:
    written: Mapping[str, str] = {
        key: f"NotRequired[{kind}]" if optional else kind for key, kind, optional in fields
    }
    if all(_is_plain(key) for key in written):
        body = [f"    {key}: {kind}" for key, kind in written.items()] or ["    pass"]
        return "\n".join([f"class {name}(TypedDict):", *body])
    body = [f"        {key!r}: {kind!r}," for key, kind in written.items()]
    return "\n".join([f"{name} = TypedDict(", f"    {name!r},", "    {", *body, "    },", ")"])


def _is_plain(key: str) -> bool:
    # Inside a class two leading underscores are mangled.
    return key.isidentifier() and not keyword.iskeyword(key) and not key.startswith("__")


def _literal(values: Sequence[str]) -> str:
    return f"Literal[{', '.join(repr(value) for value in values)}]" if values else "str"
