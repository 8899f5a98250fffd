"""`/functions` and `/triggers`: HTTP in and out."""

from typing import Annotated

from undercroft.data.functions import queries, service
from undercroft.data.functions.access import (
    ExistingFunction,
    ExistingTrigger,
    FunctionToChange,
    IfMatch,
    TriggerToChange,
)
from undercroft.data.functions.errors import (
    DefinitionExists,
    DefinitionInUse,
    DefinitionInvalid,
    DefinitionNotFound,
    VersionChanged,
)
from undercroft.data.functions.schemas import (
    DefinitionCreate,
    DefinitionRead,
    DefinitionRestore,
    DefinitionUpdate,
    Validation,
    VersionRead,
)
from undercroft.data.tables.errors import SchemaNotFound, StatementRefused, TableBusy
from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import (
    CurrentActor,
    PageQuery,
    Router,
    Session,
    searched_by,
    sorted_by,
)

PERMISSIONS = (
    Permission("functions:read", "See functions and triggers with their versions."),
    Permission("functions:manage", "Make, change and drop functions and triggers."),
)
Sorted = Annotated[PageRequest, sorted_by("created_at", "updated_at", "name")]
Searched = Annotated[str | None, searched_by("Part of the name.")]
READ, MANAGE = Needs("functions:read"), Needs("functions:manage")
MAKE_PROBLEMS = (
    DefinitionInvalid,
    DefinitionExists,
    SchemaNotFound,
    StatementRefused,
    TableBusy,
)
CHANGE_PROBLEMS = (DefinitionNotFound, DefinitionInUse, VersionChanged, *MAKE_PROBLEMS)

router = Router("/functions", tag="data")
trigger_router = Router("/triggers", tag="data")


@router.get("", access=READ)
async def list_functions(
    session: Session,
    page: Sorted,
    search: Searched = None,
) -> Page[DefinitionRead]:
    """Functions that are kept in versions here, the newest first."""
    rows, cursor, total = await queries.list_definitions(session, "function", page, search=search)
    items = [await service.read(session, row) for row in rows]
    return Page[DefinitionRead](items=items, next_cursor=cursor, total=total)


@router.post("", access=MANAGE, status_code=201, problems=MAKE_PROBLEMS)
async def create_function(
    new: DefinitionCreate, session: Session, actor: CurrentActor
) -> DefinitionRead:
    """Make a function from its CREATE statement.

    The language is sql or plpgsql. It runs as its caller, through `/rest/v1/rpc/{name}`; nobody
    but the service key and `roles` may call it. SECURITY DEFINER runs as the developer and needs
    SET search_path.
    """
    made = await service.create(session, "function", new.definition, new.roles, actor=actor)
    return await service.read(session, made)


@router.post("/validate", access=MANAGE)
async def validate_function(new: DefinitionCreate, session: Session) -> Validation:
    """Let Postgres make it and take it back: what it says, and what depends on what it replaces."""
    return await service.validate(session, "function", new.definition)


@router.get("/{definition_id}", access=READ, problems=(DefinitionNotFound,))
async def get_function(definition: ExistingFunction, session: Session) -> DefinitionRead:
    """A function, and whether somebody changed it in SQL since it was saved here."""
    return await service.read(session, definition)


@router.put("/{definition_id}", access=MANAGE, problems=CHANGE_PROBLEMS)
async def change_function(
    change: DefinitionUpdate,
    definition: FunctionToChange,
    session: Session,
    actor: CurrentActor,
    if_match: IfMatch,
) -> DefinitionRead:
    """Replace a function by a new version. `version` or If-Match refuses to overwrite another's."""
    changed = await service.change(
        session,
        definition,
        change.definition,
        change.roles,
        expected=change.version if change.version is not None else if_match,
        actor=actor,
    )
    return await service.read(session, changed)


@router.delete(
    "/{definition_id}",
    access=MANAGE,
    status_code=204,
    problems=(DefinitionNotFound, DefinitionInUse),
)
async def delete_function(
    definition: FunctionToChange, session: Session, actor: CurrentActor
) -> None:
    """Drop a function with its versions, unless others depend on it."""
    await service.delete(session, definition, actor=actor)


@router.get("/{definition_id}/versions", access=READ, problems=(DefinitionNotFound,))
async def list_function_versions(
    definition: ExistingFunction, session: Session, page: PageQuery
) -> Page[VersionRead]:
    """Every version with its author, the newest first."""
    rows, cursor, total = await queries.list_versions(session, definition, page)
    items = [VersionRead.model_validate(row) for row in rows]
    return Page[VersionRead](items=items, next_cursor=cursor, total=total)


@router.post("/{definition_id}/restore", access=MANAGE, problems=CHANGE_PROBLEMS)
async def restore_function(
    wanted: DefinitionRestore, definition: FunctionToChange, session: Session, actor: CurrentActor
) -> DefinitionRead:
    """Make an old version the newest."""
    restored = await service.restore(session, definition, wanted.version, actor=actor)
    return await service.read(session, restored)


@trigger_router.get("", access=READ)
async def list_triggers(
    session: Session,
    page: Sorted,
    search: Searched = None,
) -> Page[DefinitionRead]:
    """Triggers that are kept in versions here, the newest first."""
    rows, cursor, total = await queries.list_definitions(session, "trigger", page, search=search)
    items = [await service.read(session, row) for row in rows]
    return Page[DefinitionRead](items=items, next_cursor=cursor, total=total)


@trigger_router.post("", access=MANAGE, status_code=201, problems=MAKE_PROBLEMS)
async def create_trigger(
    new: DefinitionCreate, session: Session, actor: CurrentActor
) -> DefinitionRead:
    """Make a trigger from its CREATE statement."""
    made = await service.create(session, "trigger", new.definition, new.roles, actor=actor)
    return await service.read(session, made)


@trigger_router.post("/validate", access=MANAGE)
async def validate_trigger(new: DefinitionCreate, session: Session) -> Validation:
    """Let Postgres make it and take it back: what it says, and what depends on what it replaces."""
    return await service.validate(session, "trigger", new.definition)


@trigger_router.get("/{definition_id}", access=READ, problems=(DefinitionNotFound,))
async def get_trigger(definition: ExistingTrigger, session: Session) -> DefinitionRead:
    """A trigger, and whether somebody changed it in SQL since it was saved here."""
    return await service.read(session, definition)


@trigger_router.put("/{definition_id}", access=MANAGE, problems=CHANGE_PROBLEMS)
async def change_trigger(
    change: DefinitionUpdate,
    definition: TriggerToChange,
    session: Session,
    actor: CurrentActor,
    if_match: IfMatch,
) -> DefinitionRead:
    """Replace a trigger by a new version. `version` or If-Match refuses to overwrite another's."""
    changed = await service.change(
        session,
        definition,
        change.definition,
        change.roles,
        expected=change.version if change.version is not None else if_match,
        actor=actor,
    )
    return await service.read(session, changed)


@trigger_router.delete(
    "/{definition_id}",
    access=MANAGE,
    status_code=204,
    problems=(DefinitionNotFound, DefinitionInUse),
)
async def delete_trigger(
    definition: TriggerToChange, session: Session, actor: CurrentActor
) -> None:
    """Drop a trigger with its versions, unless others depend on it."""
    await service.delete(session, definition, actor=actor)


@trigger_router.get("/{definition_id}/versions", access=READ, problems=(DefinitionNotFound,))
async def list_trigger_versions(
    definition: ExistingTrigger, session: Session, page: PageQuery
) -> Page[VersionRead]:
    """Every version with its author, the newest first."""
    rows, cursor, total = await queries.list_versions(session, definition, page)
    items = [VersionRead.model_validate(row) for row in rows]
    return Page[VersionRead](items=items, next_cursor=cursor, total=total)


@trigger_router.post("/{definition_id}/restore", access=MANAGE, problems=CHANGE_PROBLEMS)
async def restore_trigger(
    wanted: DefinitionRestore, definition: TriggerToChange, session: Session, actor: CurrentActor
) -> DefinitionRead:
    """Make an old version the newest."""
    restored = await service.restore(session, definition, wanted.version, actor=actor)
    return await service.read(session, restored)
