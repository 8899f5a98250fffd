"""`/sql`: HTTP in and out."""

from typing import Annotated

from fastapi import Query, Response

from undercroft.data.sql import queries, service, snippets
from undercroft.data.sql.access import OwnSnippet, TheConsole
from undercroft.data.sql.answers import plan_answer, run_answer
from undercroft.data.sql.errors import (
    ConsoleBusy,
    ParametersInvalid,
    ResultTooLarge,
    ScriptTooLong,
    SnippetNotFound,
    SqlConflict,
    SqlFailed,
    SqlSyntax,
    StatementNotAllowed,
)
from undercroft.data.sql.schemas import (
    SnippetCreate,
    SnippetRead,
    SnippetUpdate,
    SqlExplain,
    SqlPlan,
    SqlQuery,
    SqlRead,
    SqlRunRead,
)
from undercroft.foundation.access import Needs, Permission, UsersOnly
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import (
    CurrentActor,
    Router,
    Session,
    Waiting,
    searched_by,
    sorted_by,
)

PERMISSIONS = (
    Permission(
        "sql:execute",
        "Run SQL as the developer: define and read everything in customers' schemas, past row "
        "security, and nothing of the platform's own.",
    ),
)
RUN_PROBLEMS = (
    SqlSyntax,
    SqlFailed,
    SqlConflict,
    StatementNotAllowed,
    ScriptTooLong,
    ParametersInvalid,
    ResultTooLarge,
    ConsoleBusy,
)

router = Router("/sql", tag="data")
EXECUTE = Needs("sql:execute")


@router.post("/query", access=EXECUTE, response_model=SqlRead, problems=RUN_PROBLEMS)
async def run_sql(
    asked: SqlQuery, console: TheConsole, actor: CurrentActor, caller: Waiting
) -> Response:
    """Run a script: all of its statements in one transaction, or nothing of it.

    It runs as the developer, who owns what customers make and has no way to the platform's own
    schemas. It ends when its time is over or you hang up. A refusal carries Postgres' `sqlstate`,
    `message` and `hint`, the number of the `statement`, and where: `position`, `line`, `column`.
    """
    run_id, outcome = await caller.run(service.run_query(console, asked, actor=actor))
    committed = not (asked.read_only or asked.dry_run)
    return run_answer(run_id, outcome, committed=committed)


@router.post("/explain", access=EXECUTE, response_model=SqlPlan, problems=RUN_PROBLEMS)
async def explain_sql(
    asked: SqlExplain, console: TheConsole, actor: CurrentActor, caller: Waiting
) -> Response:
    """The plan of one statement. With `analyze` it runs, and is taken back."""
    outcome = await caller.run(service.explain(console, asked, actor=actor))
    return plan_answer(outcome, as_json=asked.format == "json")


@router.get("/history", access=EXECUTE)
async def list_sql_history(
    session: Session,
    page: Annotated[PageRequest, sorted_by("created_at", "caller")],
    actor: CurrentActor,
    everybody: Annotated[
        bool, Query(description="All callers' runs; superusers and the service key only.")
    ] = False,
    search: Annotated[str, Query(max_length=200, description="Part of the script.")] = "",
) -> Page[SqlRunRead]:
    """What you ran, the newest first, failures included."""
    rows, cursor, total = await queries.list_runs(
        session, page, actor=actor, everybody=everybody, search=search
    )
    items = [SqlRunRead.model_validate(row) for row in rows]
    return Page[SqlRunRead](items=items, next_cursor=cursor, total=total)


@router.get("/snippets", access=EXECUTE)
async def list_snippets(
    session: Session,
    page: Annotated[PageRequest, sorted_by("created_at", "updated_at", "name")],
    actor: CurrentActor,
    search: Annotated[str | None, searched_by("Part of name or SQL.")] = None,
) -> Page[SnippetRead]:
    """Your snippets and those that others share, the newest first."""
    rows, cursor, total = await queries.list_snippets(session, page, actor=actor, search=search)
    items = [SnippetRead.model_validate(row) for row in rows]
    return Page[SnippetRead](items=items, next_cursor=cursor, total=total)


@router.post("/snippets", access=EXECUTE, status_code=201, problems=(UsersOnly,))
async def create_snippet(new: SnippetCreate, session: Session, actor: CurrentActor) -> SnippetRead:
    """Keep SQL under a name."""
    return SnippetRead.model_validate(await snippets.create_snippet(session, new, actor=actor))


@router.put("/snippets/{snippet_id}", access=EXECUTE, problems=(SnippetNotFound,))
async def change_snippet(
    change: SnippetUpdate, snippet: OwnSnippet, session: Session
) -> SnippetRead:
    """Change a snippet of yours; what is left out stays."""
    return SnippetRead.model_validate(await snippets.change_snippet(session, snippet, change))


@router.delete(
    "/snippets/{snippet_id}", access=EXECUTE, status_code=204, problems=(SnippetNotFound,)
)
async def delete_snippet(snippet: OwnSnippet, session: Session) -> None:
    """Delete a snippet of yours."""
    await snippets.delete_snippet(session, snippet)
