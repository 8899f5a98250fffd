"""The `Database` type that `createClient<Database>` of supabase-js takes.

Its shape is what the client's own types look things up in, so every part is there even when empty.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from undercroft.data.schema.description import (
    Argument,
    Column,
    Description,
    Function,
    PgType,
    Relation,
)

IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
SCALARS = {
    **dict.fromkeys(("bool",), "boolean"),
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric", "oid"), "number"),
    **dict.fromkeys(("json", "jsonb"), "Json"),
    "void": "undefined",
    "record": "Record<string, unknown>",
}
# What Postgres writes into JSON as a text.
TEXT_SCHEMAS = ("pg_catalog", "extensions")
HEAD = """\
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  __InternalSupabase: {
    PostgrestVersion: "14"
  }
"""
TAIL = """}

type Schemas = Omit<Database, "__InternalSupabase">
type Public = Schemas[Extract<keyof Schemas, "public">]

export type Tables<Name extends keyof (Public["Tables"] & Public["Views"])> =
  (Public["Tables"] & Public["Views"])[Name] extends { Row: infer Row } ? Row : never
export type TablesInsert<Name extends keyof Public["Tables"]> =
  Public["Tables"][Name] extends { Insert: infer Insert } ? Insert : never
export type TablesUpdate<Name extends keyof Public["Tables"]> =
  Public["Tables"][Name] extends { Update: infer Update } ? Update : never
export type Enums<Name extends keyof Public["Enums"]> = Public["Enums"][Name]
"""


class Link(NamedTuple):
    """One way to embed: as PostgREST's clients know it."""

    constraint: str
    columns: Sequence[str]
    one_to_one: bool
    target: str
    references: Sequence[str]


Links = Mapping[tuple[str, str], Sequence[Link]]


def write_typescript(description: Description, schemas: Sequence[str], links: Links) -> str:
    lines = [HEAD.rstrip("\n")]
    for schema in schemas:
        writer = _Writer(description, schema, links)
        lines += [f"  {key(schema)}: {{", *writer.lines(), "  }"]
    return "\n".join(lines) + "\n" + TAIL


def key(name: str) -> str:
    return name if IDENTIFIER.fullmatch(name) else text(name)


def text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


class _Writer:
    def __init__(self, description: Description, schema: str, links: Links) -> None:
        self._types = description.types
        self._known = {(item.schema_name, item.name): item for item in description.relations}
        self._all = description
        self._mine = description.of_schema(schema)
        self._links = links

    def lines(self) -> Iterator[str]:
        relations = self._mine.relations
        yield from _group("Tables", [self._table(item) for item in relations if item.is_table])
        yield from _group("Views", [self._view(item) for item in relations if item.is_view])
        yield from _group("Functions", list(self._functions()))
        yield from _group(
            "Enums",
            [[f"{key(item.name)}: {_union(item.values)}"] for item in self._mine.enums],
        )
        yield from _group(
            "CompositeTypes",
            [_object(key(item.name), self._row(item)) for item in relations if item.kind == "c"],
        )

    def _table(self, relation: Relation) -> list[str]:
        body = [
            *_object("Row", self._row(relation)),
            *_object("Insert", self._written(relation, insert=True)),
            *_object("Update", self._written(relation, insert=False)),
            *self._relationships(relation),
        ]
        return _object(key(relation.name), body)

    def _view(self, relation: Relation) -> list[str]:
        body = _object("Row", self._row(relation))
        if relation.insertable:
            body += _object("Insert", self._written(relation, insert=True))
        if relation.updatable:
            body += _object("Update", self._written(relation, insert=False))
        return _object(key(relation.name), [*body, *self._relationships(relation)])

    def _row(self, relation: Relation) -> list[str]:
        return [f"{key(column.name)}: {self._value(column)}" for column in _sorted(relation)]

    def _value(self, column: Column) -> str:
        return self.type(column.type) + (" | null" if column.nullable else "")

    def _written(self, relation: Relation, *, insert: bool) -> list[str]:
        lines = []
        for column in _sorted(relation):
            optional = not insert or column.nullable or column.has_default
            value = "never" if column.always else self._value(column)
            lines.append(f"{key(column.name)}{'?' if optional else ''}: {value}")
        return lines

    def _relationships(self, relation: Relation) -> list[str]:
        links = self._links.get((relation.schema_name, relation.name), ())
        if not links:
            return ["Relationships: []"]
        lines = ["Relationships: ["]
        for link in links:
            lines += [
                "  {",
                f"    foreignKeyName: {text(link.constraint)}",
                f"    columns: [{', '.join(text(name) for name in link.columns)}]",
                f"    isOneToOne: {'true' if link.one_to_one else 'false'}",
                f"    referencedRelation: {text(link.target)}",
                f"    referencedColumns: [{', '.join(text(name) for name in link.references)}]",
                "  },",
            ]
        return [*lines, "]"]

    def _functions(self) -> Iterator[list[str]]:
        by_name: dict[str, list[Function]] = {}
        for function in self._mine.functions:
            if _callable(function):
                by_name.setdefault(function.name, []).append(function)
        for name, overloads in by_name.items():
            written = [self._function(function) for function in overloads]
            if len(written) == 1:
                yield _object(key(name), written[0])
            else:
                union = [line for one in written for line in ("| {", *_indented(one), "}")]
                yield [f"{key(name)}:", *_indented(union)]

    def _function(self, function: Function) -> list[str]:
        arguments = [self._argument(item) for item in function.inputs if item.name]
        args = f"{{ {'; '.join(arguments)} }}" if arguments else "never"
        return [f"Args: {args}", f"Returns: {self._result(function)}"]

    def _argument(self, item: Argument) -> str:
        return f"{key(item.name)}{'?' if item.has_default else ''}: {self.type(item.type)}"

    def _result(self, function: Function) -> str:
        found = self.type(function.returns)
        outputs = function.outputs
        if len(outputs) > 1 or (outputs and outputs[0].mode == "t"):
            fields = "; ".join(f"{key(item.name)}: {self.type(item.type)}" for item in outputs)
            found = f"{{ {fields} }}"
        return f"{_bracketed(found)}[]" if function.set else found

    def type(self, number: int) -> str:
        """The TypeScript of a Postgres type as JSON brings it."""
        found = self._types.get(number)
        if found is None:
            return "unknown"
        if found.element:
            return f"{_bracketed(self.type(found.element))}[]"
        if found.kind == "d":
            return self.type(found.base)
        return self._named(found)

    def _named(self, found: PgType) -> str:
        if found.kind == "e":
            known = any(
                (item.schema_name, item.name) == (found.schema_name, found.name)
                for item in self._all.enums
            )
            if known:
                return _path(found.schema_name, "Enums", found.name)
            return _union(found.values or [])
        if found.kind == "c":
            return self._composite(found.schema_name, found.relation)
        if found.schema_name == "pg_catalog" and found.name in SCALARS:
            return SCALARS[found.name]
        return "string" if found.schema_name in TEXT_SCHEMAS else "unknown"

    def _composite(self, schema: str, name: str) -> str:
        relation = self._known.get((schema, name))
        if relation is None:
            return "unknown"
        if relation.kind == "c":
            return _path(schema, "CompositeTypes", name)
        return _path(schema, "Tables" if relation.is_table else "Views", name) + '["Row"]'


def _callable(function: Function) -> bool:
    """Whether /rest/v1 can call it: all arguments have names, or there is only one."""
    names = [item.name for item in function.inputs]
    return all(names) or len(names) == 1


def _sorted(relation: Relation) -> list[Column]:
    return sorted(relation.columns, key=lambda column: column.name)


def _path(schema: str, group: str, name: str) -> str:
    return f"Database[{text(schema)}][{text(group)}][{text(name)}]"


def _union(values: Sequence[str]) -> str:
    return " | ".join(text(value) for value in values) or "never"


def _bracketed(found: str) -> str:
    return f"({found})" if " " in found and not found.startswith("{") else found


def _object(name: str, body: Sequence[str]) -> list[str]:
    return [f"{name}: {{", *_indented(body), "}"] if body else [f"{name}: {{}}"]


def _group(name: str, members: Sequence[Sequence[str]]) -> Iterator[str]:
    if not members:
        body: Iterable[str] = ["[_ in never]: never"]
    else:
        body = [line for member in members for line in member]
    yield from _indented(_indented([f"{name}: {{", *_indented(body), "}"]))


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
