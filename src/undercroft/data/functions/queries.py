"""Definitions that are kept, and what Postgres has of them."""

from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.functions.errors import DefinitionNotFound
from undercroft.data.functions.models import Definition, DefinitionVersion
from undercroft.data.functions.text import Described, Kind
from undercroft.foundation.db import PageRequest, Sorts, containing, paginate

FUNCTIONS = text("""
    SELECT p.oid, p.ctid::text AS row, p.oid::regprocedure::text AS signature,
           pg_get_functiondef(p.oid) AS live
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = :schema AND p.proname = :name AND p.prokind IN ('f', 'p', 'w')
""")
TRIGGER = text("""
    SELECT t.oid, format('%I on %s', t.tgname, t.tgrelid::regclass) AS signature,
           pg_get_triggerdef(t.oid) AS live
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = :schema AND c.relname = :table AND t.tgname = :name AND NOT t.tgisinternal
""")
LIVE = {
    "function": text("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE oid = :oid"),
    "trigger": text("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE oid = :oid"),
}
# What the catalogue knows to depend on it, and functions whose text mentions its name.
DEPENDENTS = text("""
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
      FROM pg_depend d
     WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = :oid AND d.deptype IN ('n', 'a')
     UNION
    SELECT 'function ' || p.oid::regprocedure::text || ' (by its text)'
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE undercroft.is_exposed(n.nspname) AND p.oid <> :oid
       AND p.prosrc ~ ('\\m' || regexp_replace(:name, '(\\W)', '\\\\\\1', 'g') || '\\M')
     ORDER BY 1 LIMIT 100
""")


SORTS: Sorts = {
    "created_at": Definition.created_at,
    "updated_at": Definition.updated_at,
    "name": Definition.name,
}


async def get_definition(
    session: AsyncSession, definition_id: UUID, kind: Kind, *, lock: bool = False
) -> Definition:
    statement = select(Definition).where(Definition.id == definition_id, Definition.kind == kind)
    found: Definition | None = await session.scalar(
        statement.with_for_update() if lock else statement
    )
    if found is None:
        raise DefinitionNotFound
    return found


async def list_definitions(
    session: AsyncSession, kind: Kind, page: PageRequest, *, search: str | None
) -> tuple[list[Definition], str | None, int | None]:
    statement = select(Definition).where(Definition.kind == kind)
    if search:
        statement = statement.where(containing(search, Definition.name))
    keys = (Definition.created_at, Definition.id)
    return await paginate(session, statement, page, keys=keys, sorts=SORTS)


async def list_versions(
    session: AsyncSession, definition: Definition, page: PageRequest
) -> tuple[list[DefinitionVersion], str | None, int | None]:
    statement = select(DefinitionVersion).where(DefinitionVersion.definition_id == definition.id)
    sorts: Sorts = {"version": DefinitionVersion.version}
    return await paginate(session, statement, page, keys=(DefinitionVersion.version,), sorts=sorts)


async def get_version(
    session: AsyncSession, definition: Definition, version: int
) -> DefinitionVersion:
    found = await session.get(DefinitionVersion, (definition.id, version))
    if found is None:
        raise DefinitionNotFound
    return found


async def rows_of(session: AsyncSession, described: Described) -> dict[int, str]:
    """Which functions have this name, and where their rows are: a change moves them."""
    if described.kind == "trigger":
        return {}
    values = {"schema": described.schema, "name": described.name}
    return {found.oid: found.row for found in await session.execute(FUNCTIONS, values)}


async def find_new(session: AsyncSession, described: Described, before: dict[int, str]) -> Any:
    """The object that was just made or replaced."""
    values = {"schema": described.schema, "name": described.name}
    if described.kind == "trigger":
        return (await session.execute(TRIGGER, values | {"table": described.table})).one()
    found = await session.execute(FUNCTIONS, values)
    return next(one for one in found if before.get(one.oid) != one.row)


async def find_live(session: AsyncSession, definition: Definition) -> str | None:
    found: str | None = await session.scalar(LIVE[definition.kind], {"oid": definition.object_id})
    return found


async def list_dependents(session: AsyncSession, definition: Definition) -> list[str]:
    if definition.kind == "trigger":
        return []
    values = {"oid": definition.object_id, "name": definition.name}
    return list(await session.scalars(DEPENDENTS, values))
