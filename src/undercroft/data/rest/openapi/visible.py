"""Which relations and functions the document names: what the caller may use, asked as them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from undercroft.data.rest.query.sql import Statement, ident, literal, statement
from undercroft.data.schema.model import Catalog, Function, Table


@dataclass(frozen=True, slots=True)
class Visible:
    """The relations and functions to describe, and the comment on their schema."""

    tables: list[Table]
    functions: list[Function]
    description: str | None


def visibility_query(schema: str) -> Statement:
    """Ask, as the caller, for what they may use. The answer is the body of a `Result`."""
    name = literal(schema)
    return statement(
        "SELECT NULL::bigint, 1::bigint, json_build_object("  # noqa: S608 - a literal
        "'tables', (SELECT coalesce(json_agg(class.relname), '[]') FROM pg_class AS class"
        f" JOIN pg_namespace AS space ON space.oid = class.relnamespace AND space.nspname = {name}"
        " WHERE class.relkind IN ('r', 'p', 'v', 'm', 'f') AND ("
        "pg_has_role(class.relowner, 'USAGE')"
        " OR has_table_privilege(class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE,"
        " REFERENCES, TRIGGER')"
        " OR has_any_column_privilege(class.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))),"
        "'functions', (SELECT coalesce(json_agg(routine.oid::bigint), '[]')"
        " FROM pg_proc AS routine JOIN pg_namespace AS space"
        f" ON space.oid = routine.pronamespace AND space.nspname = {name}"
        " WHERE has_function_privilege(routine.oid, 'EXECUTE')),"
        "'description', (SELECT obj_description(space.oid, 'pg_namespace')"
        f" FROM pg_namespace AS space WHERE space.nspname = {name})"
        ")::text,"
        " nullif(current_setting('response.headers', true), ''),"
        " nullif(current_setting('response.status', true), '')"
    )


def read_visible(
    catalog: Catalog,
    schema: str,
    answer: bytes,
    *,
    follow_privileges: bool,
    search_path: Sequence[str],
) -> Visible:
    """Read the answer to `visibility_query`.

    What the caller was asked for is named as the caller finds it: types of functions without a
    schema of their `search_path`.
    """
    found = orjson.loads(answer)
    tables, functions = set(found["tables"]), set(found["functions"])
    return Visible(
        [
            table
            for name, table in catalog.tables.items()
            if name.schema == schema and (not follow_privileges or name.name in tables)
        ],
        [
            _as_found(function, search_path) if follow_privileges else function
            for name, overloads in catalog.functions.items()
            if name.schema == schema
            for function in overloads
            if not follow_privileges or function.oid in functions
        ],
        found["description"],
    )


def _as_found(function: Function, search_path: Sequence[str]) -> Function:
    parameters = tuple(
        replace(item, type=_without_schema(item.type, search_path)) for item in function.parameters
    )
    return replace(function, parameters=parameters)


def _without_schema(name: str, search_path: Sequence[str]) -> str:
    for schema in search_path:
        for prefix in (f"{schema}.", f"{ident(schema)}."):
            if name.startswith(prefix):
                return name.removeprefix(prefix)
    return name
