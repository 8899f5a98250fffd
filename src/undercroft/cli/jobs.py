"""`undercroft jobs`: the dead letters of the queue, to look at, try again or throw away."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for

T = TypeVar("T")

app = typer.Typer(
    name="jobs",
    help="Jobs that failed their last try: list them, try them again, discard them.",
    no_args_is_help=True,
)

Ids = Annotated[
    list[int], typer.Argument(metavar="ID...", min=1, max=2**63 - 1, help="Ids from `jobs list`.")
]


@app.command("list")
def list_jobs(
    *,
    name: Annotated[str | None, typer.Option(help="Only jobs of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most jobs to show.")] = 20,
    before: Annotated[int | None, typer.Option(help="Only those older than this id.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Dead letters, newest first."""
    from undercroft.foundation.jobs import list_dead_jobs

    dead = _in_transaction(
        home, lambda session: list_dead_jobs(session, name=name, before=before, limit=limit)
    )
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in dead], default=str))
        return
    if not dead:
        typer.echo("No dead jobs.")
    for entry in dead:
        arguments = " ".join(f"{key}={value}" for key, value in entry.arguments.items())
        typer.echo(f"{entry.id}  {entry.name}  {entry.died_at:%Y-%m-%d %H:%M:%S}  {arguments}")
        typer.echo(f"    after {entry.attempts} tries: {entry.error}")


@app.command("retry")
def retry_jobs(ids: Ids, *, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Give dead jobs a full set of tries again, starting now."""
    from undercroft.foundation.jobs import requeue_dead_job

    _each(home, "requeued", ids, requeue_dead_job, as_json=as_json)


@app.command("discard")
def discard_jobs(ids: Ids, *, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Forget dead jobs for good."""
    from undercroft.foundation.jobs import discard_dead_job

    _each(home, "discarded", ids, discard_dead_job, as_json=as_json)


def _each(
    home: Path | None,
    done: str,
    ids: list[int],
    act: Callable[[Any, int], Awaitable[None]],
    *,
    as_json: bool,
) -> None:
    """All or none: one unknown id leaves the others as they were, and ends with status 1."""
    from undercroft.foundation.jobs import DeadJobNotFound

    async def act_on_each(session: Any) -> None:
        for job_id in ids:
            await act(session, job_id)

    try:
        _in_transaction(home, act_on_each)
    except DeadJobNotFound as problem:
        typer.echo(f"{problem} Nothing was changed.", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps({done: ids}) if as_json else f"{done.capitalize()}: {len(ids)}.")


def _in_transaction(home: Path | None, work: Callable[[Any], Awaitable[T]]) -> T:
    from undercroft.foundation.db import Database
    from undercroft.foundation.embedded import open_engines
    from undercroft.foundation.settings import Settings

    async def run(settings: Settings) -> T:
        database = Database(settings.database)
        try:
            async with database.unit_of_work() as session:
                return await work(session)
        finally:
            await database.dispose()

    with open_engines(settings_for(home), command="jobs", existing=True) as settings:
        return asyncio.run(run(settings))
