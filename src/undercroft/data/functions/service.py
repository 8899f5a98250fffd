"""The verbs on functions and triggers.

They are made with the developer's rights, in one transaction with their new version.
"""

import re
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.functions import queries
from undercroft.data.functions.body import unknown_names
from undercroft.data.functions.errors import (
    DefinitionExists,
    DefinitionInUse,
    VersionChanged,
)
from undercroft.data.functions.events import DefinitionDeleted, DefinitionSaved
from undercroft.data.functions.models import Definition, DefinitionVersion
from undercroft.data.functions.schemas import DefinitionRead, Validation
from undercroft.data.functions.text import Described, Kind, describe
from undercroft.data.tables.ddl import run_ddl
from undercroft.data.tables.errors import StatementRefused
from undercroft.data.tables.queries import check_schema
from undercroft.foundation.access import Actor
from undercroft.foundation.jobs import publish
from undercroft.foundation.problems import Problem

EXISTS = frozenset({"42723", "42710"})
OTHER_RETURN_TYPE = "42P13"
IN_USE = "2BP01"


async def create(
    session: AsyncSession, kind: Kind, source: str, roles: Sequence[str], *, actor: Actor
) -> Definition:
    described = await _described(session, source, kind)
    # Two creations of one name at once: the second finds the first.
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 17))"),
        {"name": f"{described.schema}.{described.table}.{described.name}"},
    )
    definition = Definition(kind=kind, version=1)
    await _make(session, definition, described, source, roles)
    session.add(definition)
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError as error:
        raise DefinitionExists(definition.signature) from error
    await _keep_version(session, definition, actor)
    return definition


async def change(
    session: AsyncSession,
    definition: Definition,
    source: str,
    roles: Sequence[str] | None,
    *,
    expected: int | None,
    actor: Actor,
) -> Definition:
    """Replace it; with another signature, drop the old one. `definition` is locked."""
    if expected is not None and expected != definition.version:
        raise VersionChanged(definition.version)
    kind: Kind = "trigger" if definition.kind == "trigger" else "function"
    described = await _described(session, source, kind)
    kept = definition.roles if roles is None else roles
    before, old = definition.object_id, definition.signature
    if kind == "trigger":
        await _drop(session, definition)
        await _make(session, definition, described, source, kept)
    else:
        await _replace(session, definition, described, source, kept)
        if definition.object_id != before and await _exists(session, before):
            await _run_drop(session, definition, f"DROP FUNCTION {old} RESTRICT")
    definition.version += 1
    await session.flush()
    await session.refresh(definition)
    await _keep_version(session, definition, actor)
    return definition


async def restore(
    session: AsyncSession, definition: Definition, version: int, *, actor: Actor
) -> Definition:
    """Make an old version the newest."""
    old = await queries.get_version(session, definition, version)
    return await change(session, definition, old.definition, old.roles, expected=None, actor=actor)


async def delete(session: AsyncSession, definition: Definition, *, actor: Actor) -> None:
    await _drop(session, definition)
    publish(
        session,
        DefinitionDeleted(definition.id, definition.kind, definition.signature, by=actor.user_id),
    )
    await session.delete(definition)
    await session.flush()


async def validate(session: AsyncSession, kind: Kind, source: str) -> Validation:
    """Make it, look at it, and take it back."""
    probe = Definition(kind=kind, version=1)
    nested = await session.begin_nested()
    try:
        described = await _described(session, source, kind)
        await _make(session, probe, described, _replacing(source), ())
        dependents = await queries.list_dependents(session, probe)
        hints: list[str] = []
        if kind == "function":
            hints = await unknown_names(session, probe.object_id, source, described)
        return Validation(valid=True, signature=probe.signature, hints=hints, dependents=dependents)
    except Problem as problem:
        if problem.status >= 500:
            raise
        members = problem.members
        return Validation(
            valid=False,
            sqlstate=members.get("sqlstate"),
            message=str(members.get("reason") or problem.sentence() or problem.title),
        )
    finally:
        await nested.rollback()


async def read(session: AsyncSession, definition: Definition) -> DefinitionRead:
    live = await queries.find_live(session, definition)
    return DefinitionRead(
        id=definition.id,
        schema_name=definition.schema_name,
        name=definition.name,
        signature=definition.signature,
        definition=definition.definition,
        roles=definition.roles,
        version=definition.version,
        drifted=live != definition.live,
        live=live,
        dependents=await queries.list_dependents(session, definition),
        created_at=definition.created_at,
        updated_at=definition.updated_at,
    )


async def _described(session: AsyncSession, source: str, kind: Kind) -> Described:
    described = describe(source, kind)
    await check_schema(session, described.schema)
    return described


async def _make(
    session: AsyncSession,
    definition: Definition,
    described: Described,
    source: str,
    roles: Sequence[str],
) -> None:
    """Create it in Postgres, and note what that came to."""
    before = await queries.rows_of(session, described)
    try:
        await run_ddl(session, [source], schema=described.schema)
    except StatementRefused as refusal:
        if refusal.members["sqlstate"] in EXISTS:
            raise DefinitionExists(described.name) from refusal
        raise
    made = await queries.find_new(session, described, before)
    definition.schema_name, definition.name = described.schema, described.name
    definition.signature, definition.object_id = made.signature, made.oid
    definition.live, definition.definition = made.live, source
    definition.roles = sorted(set(roles))
    if described.kind == "function":
        await run_ddl(session, _grants(made.signature, definition.roles), schema=described.schema)


def _grants(signature: str, roles: Sequence[str]) -> list[str]:
    listed = ", ".join(("service_role", *roles))
    return [
        f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC, anon, authenticated",
        f"GRANT EXECUTE ON FUNCTION {signature} TO {listed}",
    ]


async def _replace(
    session: AsyncSession,
    definition: Definition,
    described: Described,
    source: str,
    roles: Sequence[str],
) -> None:
    try:
        async with session.begin_nested():
            await _make(session, definition, described, _replacing(source), roles)
    except StatementRefused as refusal:
        # Postgres changes arguments and results only by a new function.
        if refusal.members["sqlstate"] != OTHER_RETURN_TYPE:
            raise
        await _drop(session, definition)
        await _make(session, definition, described, source, roles)
    definition.definition = source


def _replacing(source: str) -> str:
    """The statement with OR REPLACE; that it is a CREATE FUNCTION or TRIGGER is known."""
    return re.sub(
        r"\A((?:\s|--[^\n]*\n|/\*.*?\*/)*create)\s+(?!or\s+replace)",
        r"\1 or replace ",
        source,
        count=1,
        flags=re.IGNORECASE | re.DOTALL,
    )


async def _drop(session: AsyncSession, definition: Definition) -> None:
    if await queries.find_live(session, definition) is None:
        return
    if definition.kind == "trigger":
        statement = describe(definition.definition, "trigger").drop
    else:
        statement = f"DROP FUNCTION {definition.signature} RESTRICT"
    await _run_drop(session, definition, statement)


async def _run_drop(session: AsyncSession, definition: Definition, statement: str) -> None:
    dependents = await queries.list_dependents(session, definition)
    try:
        await run_ddl(session, [statement], schema=definition.schema_name)
    except StatementRefused as refusal:
        if refusal.members["sqlstate"] == IN_USE:
            raise DefinitionInUse(str(refusal.members["reason"]), dependents) from refusal
        raise


async def _exists(session: AsyncSession, oid: int) -> bool:
    found = await session.scalar(text("SELECT true FROM pg_proc WHERE oid = :oid"), {"oid": oid})
    return bool(found)


async def _keep_version(session: AsyncSession, definition: Definition, actor: Actor) -> None:
    session.add(
        DefinitionVersion(
            definition_id=definition.id,
            version=definition.version,
            definition=definition.definition,
            roles=definition.roles,
            created_by=actor.user_id,
        )
    )
    await session.flush()
    publish(
        session,
        DefinitionSaved(
            definition.id,
            definition.kind,
            definition.signature,
            definition.version,
            by=actor.user_id,
        ),
    )
