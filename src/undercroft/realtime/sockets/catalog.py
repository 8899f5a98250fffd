"""What the catalogue says about a table: who may read which columns, and which rows by what rule.

Kept until Postgres announces a change of schema; a little while where nobody announces any.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.db import Database
from undercroft.foundation.db.quoting import quote_name

KEPT_SECONDS = 15.0
MOST_KEPT = 5000

TABLE = text("""
    WITH api AS (SELECT rolname, rolbypassrls FROM pg_catalog.pg_roles
                  WHERE rolname IN ('anon', 'authenticated', 'service_role'))
    SELECT pg_catalog.json_build_object(
        'row_security', c.relrowsecurity,
        'logged', (
            SELECT ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attname = ANY (t.attnames)
                            AND (a.attgenerated = '' OR pg_catalog.current_setting(
                                     'server_version_num')::integer >= 180000))
              FROM pg_catalog.pg_publication_tables t
             WHERE t.pubname = 'supabase_realtime'
               AND t.schemaname = n.nspname AND t.tablename = c.relname),
        'bypass', ARRAY(SELECT rolname FROM api WHERE rolbypassrls),
        'columns', (
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                       'name', a.attname,
                       'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                       'checks', EXISTS (
                           SELECT FROM pg_catalog.pg_type t
                            WHERE t.oid = a.atttypid AND t.typtype = 'd'),
                       'readers', ARRAY(
                           SELECT rolname FROM api
                            WHERE pg_catalog.has_schema_privilege(rolname, n.oid, 'USAGE')
                              AND pg_catalog.has_column_privilege(
                                  rolname, c.oid, a.attnum, 'SELECT')))
                       ORDER BY a.attnum)
              FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
        'inserters', ARRAY(
            SELECT rolname FROM api
             WHERE pg_catalog.has_table_privilege(rolname, c.oid, 'INSERT')),
        'policies', (
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                       'permissive', p.polpermissive,
                       'command', p.polcmd,
                       'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
                       'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid),
                       'roles', ARRAY(
                           SELECT rolname FROM api
                            WHERE 0 = ANY (p.polroles)
                               OR EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) AS r (oid)
                                           WHERE pg_catalog.pg_has_role(rolname, r.oid, 'USAGE'))),
                       'columns', ARRAY(
                           SELECT DISTINCT a.attname::text FROM pg_catalog.pg_depend d
                             JOIN pg_catalog.pg_attribute a
                               ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                            WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
                              AND d.objid = p.oid AND d.refobjid = c.oid
                              AND d.refobjsubid > 0)))
              FROM pg_catalog.pg_policy p
             WHERE p.polrelid = c.oid AND p.polcmd IN ('r', 'a', '*')))::text
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = :schema AND c.relname = :table AND c.relkind IN ('r', 'p')
""")


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a row, as SQL; None lets every row pass. `columns` is what it looks at."""

    sql: str | None
    columns: frozenset[str] = frozenset()


NEVER = Rule("false")
ALWAYS = Rule(None)


@dataclass(frozen=True, slots=True)
class TableInfo:
    """`readers` maps a column to the roles that may read it, `types` to its type.

    `logged` are the columns whose changes clients may follow, None of a table that is not live;
    `checked` those of a domain, which may refuse a row that lacks them.
    """

    schema: str
    name: str
    logged: frozenset[str] | None
    row_security: bool
    bypass: frozenset[str]
    types: Mapping[str, str]
    checked: frozenset[str]
    readers: Mapping[str, frozenset[str]]
    inserters: frozenset[str]
    policies: tuple[Mapping[str, Any], ...]

    @property
    def live(self) -> bool:
        return self.logged is not None

    @property
    def quoted(self) -> str:
        return f"{quote_name(self.schema)}.{quote_name(self.name)}"

    def readable(self, role: str) -> frozenset[str]:
        return frozenset(name for name, roles in self.readers.items() if role in roles)

    def reading(self, role: str) -> Rule:
        """The rows that `role` may see, depending on the caller's claims."""
        return self._rule(role, "r", "using")

    def inserting(self, role: str) -> Rule:
        """The rows that `role` may add."""
        return self._rule(role, "a", "check") if role in self.inserters else NEVER

    def _rule(self, role: str, command: str, part: str) -> Rule:
        """Permissive policies are alternatives, restrictive ones must all hold."""
        if not self.row_security or role in self.bypass:
            return ALWAYS
        own = [p for p in self.policies if p["command"] in {command, "*"} and role in p["roles"]]
        # A policy for everything checks with what it shows, unless it says otherwise.
        parts = [(p, p[part] or p["using"] or "true") for p in own]
        either = [sql for p, sql in parts if p["permissive"]]
        both = [sql for p, sql in parts if not p["permissive"]]
        if not either:
            return NEVER
        if "true" in either and not both:
            return ALWAYS
        conditions = [" OR ".join(f"({sql})" for sql in either), *both]
        sql = " AND ".join(f"({condition})" for condition in conditions)
        if ".*" in sql:  # a whole row: every column matters
            return Rule(sql, frozenset(self.types))
        return Rule(sql, frozenset(name for p, _ in parts for name in p["columns"]))


class Catalog:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[tuple[str, str], tuple[float, TableInfo | None]] = {}
        self._generation = 0

    def forget(self) -> None:
        self._generation += 1
        self._kept.clear()

    async def find(self, schema: str, table: str, *, anew: bool = False) -> TableInfo | None:
        """None for what is no table."""
        kept = self._kept.get((schema, table))
        if not anew and kept is not None and kept[0] > time.monotonic():
            return kept[1]
        generation = self._generation
        async with self._database.unit_of_work() as session:
            found = await _read(session, schema, table)
        if generation != self._generation:  # something changed while we read
            return found
        if len(self._kept) >= MOST_KEPT:  # names come from clients
            self._kept.clear()
        self._kept[schema, table] = (time.monotonic() + KEPT_SECONDS, found)
        return found


async def _read(session: AsyncSession, schema: str, table: str) -> TableInfo | None:
    answer = await session.scalar(TABLE, {"schema": schema, "table": table})
    if answer is None:
        return None
    content = orjson.loads(answer)
    columns = content["columns"] or []
    return TableInfo(
        schema,
        table,
        logged=None if content["logged"] is None else frozenset(content["logged"]),
        row_security=content["row_security"],
        bypass=frozenset(content["bypass"]),
        types={column["name"]: column["type"] for column in columns},
        checked=frozenset(column["name"] for column in columns if column["checks"]),
        readers={column["name"]: frozenset(column["readers"]) for column in columns},
        inserters=frozenset(content["inserters"]),
        policies=tuple(content["policies"] or ()),
    )
