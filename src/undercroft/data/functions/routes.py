"""`/functions` and `/triggers`: HTTP in and out, both by one shape."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends

from undercroft.data.functions import queries, service
from undercroft.data.functions.access import IfMatch, finder
from undercroft.data.functions.errors import (
    DefinitionExists,
    DefinitionInUse,
    DefinitionInvalid,
    DefinitionNotFound,
    VersionChanged,
)
from undercroft.data.functions.models import Definition
from undercroft.data.functions.schemas import (
    DefinitionCreate,
    DefinitionRead,
    DefinitionRestore,
    DefinitionUpdate,
    Validation,
    VersionRead,
)
from undercroft.data.functions.text import Kind
from undercroft.data.tables.errors import SchemaNotFound, StatementRefused, TableBusy
from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import (
    CurrentActor,
    Router,
    Session,
    searched_by,
    sorted_by,
)

Handler = TypeVar("Handler", bound=Callable[..., Any])
PERMISSIONS = (
    Permission("functions:read", "See functions and triggers with their versions."),
    Permission("functions:manage", "Make, change and drop functions and triggers."),
)
Sorted = Annotated[PageRequest, sorted_by("created_at", "updated_at", "name")]
ByVersion = Annotated[PageRequest, sorted_by("version")]
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
MAKING: dict[Kind, str] = {
    "function": """Make a function from its CREATE statement.

    The language is sql or plpgsql. It runs as its caller, through `/rest/v1/rpc/{name}`; nobody
    but the service key and `roles` may call it. SECURITY DEFINER runs as the developer and needs
    SET search_path.
    """,
    "trigger": "Make a trigger from its CREATE statement.",
}


def named(title: str, words: str) -> Callable[[Handler], Handler]:
    """Give a handler its name and words for a kind."""

    def name(handler: Handler) -> Handler:
        handler.__name__, handler.__doc__ = title, words
        return handler

    return name


def definition_router(kind: Kind) -> Router:
    """All that both kinds have, under the plural of this one."""
    router = Router(f"/{kind}s", tag="data")
    _add_collection(router, kind)
    _add_reads(router, kind)
    _add_changes(router, kind)
    return router


def _add_collection(router: Router, kind: Kind) -> None:
    @router.get("", access=READ)
    @named(f"list_{kind}s", f"{kind.title()}s that are kept in versions here, the newest first.")
    async def list_all(
        session: Session, page: Sorted, search: Searched = None
    ) -> Page[DefinitionRead]:
        rows, cursor, total = await queries.list_definitions(session, kind, page, search=search)
        items = [await service.read(session, row) for row in rows]
        return Page[DefinitionRead](items=items, next_cursor=cursor, total=total)

    @router.post("", access=MANAGE, status_code=201, problems=MAKE_PROBLEMS)
    @named(f"create_{kind}", MAKING[kind])
    async def create(
        new: DefinitionCreate, session: Session, actor: CurrentActor
    ) -> DefinitionRead:
        made = await service.create(session, kind, new.definition, new.roles, actor=actor)
        return await service.read(session, made)

    @router.post("/validate", access=MANAGE)
    @named(
        f"validate_{kind}",
        "Let Postgres make it and take it back: what it says, and what depends on what it"
        " replaces.",
    )
    async def validate(new: DefinitionCreate, session: Session) -> Validation:
        return await service.validate(session, kind, new.definition)


def _add_reads(router: Router, kind: Kind) -> None:
    find = finder(kind)

    @router.get("/{definition_id}", access=READ, problems=(DefinitionNotFound,))
    @named(
        f"get_{kind}", f"A {kind}, and whether somebody changed it in SQL since it was saved here."
    )
    async def get(
        definition: Annotated[Definition, Depends(find)], session: Session
    ) -> DefinitionRead:
        return await service.read(session, definition)

    @router.get("/{definition_id}/versions", access=READ, problems=(DefinitionNotFound,))
    @named(f"list_{kind}_versions", "Every version with its author, the newest first.")
    async def list_versions(
        definition: Annotated[Definition, Depends(find)], session: Session, page: ByVersion
    ) -> Page[VersionRead]:
        rows, cursor, total = await queries.list_versions(session, definition, page)
        items = [VersionRead.model_validate(row) for row in rows]
        return Page[VersionRead](items=items, next_cursor=cursor, total=total)


def _add_changes(router: Router, kind: Kind) -> None:
    find = finder(kind, lock=True)

    @router.put("/{definition_id}", access=MANAGE, problems=CHANGE_PROBLEMS)
    @named(
        f"change_{kind}",
        f"Replace a {kind} by a new version. `version` or If-Match refuses to overwrite another's.",
    )
    async def change(
        change: DefinitionUpdate,
        definition: Annotated[Definition, Depends(find)],
        session: Session,
        actor: CurrentActor,
        if_match: IfMatch,
    ) -> DefinitionRead:
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
    @named(f"delete_{kind}", f"Drop a {kind} with its versions, unless others depend on it.")
    async def delete(
        definition: Annotated[Definition, Depends(find)], session: Session, actor: CurrentActor
    ) -> None:
        await service.delete(session, definition, actor=actor)

    @router.post("/{definition_id}/restore", access=MANAGE, problems=CHANGE_PROBLEMS)
    @named(f"restore_{kind}", "Make an old version the newest.")
    async def restore(
        wanted: DefinitionRestore,
        definition: Annotated[Definition, Depends(find)],
        session: Session,
        actor: CurrentActor,
    ) -> DefinitionRead:
        restored = await service.restore(session, definition, wanted.version, actor=actor)
        return await service.read(session, restored)


router, trigger_router = definition_router("function"), definition_router("trigger")
