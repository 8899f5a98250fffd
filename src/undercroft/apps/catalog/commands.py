"""`undercroft catalog`: files into the catalogue, from the server's own shell."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from undercroft import AppContext, publish, run_in_app
from undercroft.apps.catalog.events import CatalogImported
from undercroft.apps.catalog.imports import FileUnreadable, Imported, Parsed, parse, save
from undercroft.apps.catalog.service import NAMESPACE

MOST_LINES = 20

app = typer.Typer(help="The media catalogue.", no_args_is_help=True)


@app.callback()
def _catalog() -> None:
    """Keep `import` a word of its own although it is the only one."""


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV, JSON array or NDJSON.")
    ],
    home: Annotated[
        Path | None, typer.Option(help="Directory of the embedded engines.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Add authors, movies and series from a file: every row of it or none.

    Each row has a `type`: author (name, age), movie (title, year_of_issue, genre, description,
    author) or series (title, episodes, seasons, genre, year_of_issue, description, author). What
    is in the catalogue already is skipped, so a file may be imported again.
    """
    try:
        parsed = parse(file)
    except FileUnreadable as error:
        _refuse(file, [str(error)], as_json=as_json)
    if parsed.wrong:
        _refuse(file, parsed.wrong, as_json=as_json)
    done, nobody = run_in_app(
        "catalog",
        lambda context: _save(context, parsed, hidden=as_json),
        home=home,
        command="catalog import",
    )
    if nobody:
        _refuse(file, nobody, as_json=as_json)
    line = (
        f"{file}: {done.authors:,} authors, {done.movies:,} movies and {done.series:,} series "
        f"added, {done.skipped:,} were there already"
    )
    typer.echo(json.dumps(vars(done)) if as_json else line)


async def _save(context: AppContext, parsed: Parsed, *, hidden: bool) -> tuple[Imported, list[str]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("Importing", total=len(parsed.rows))
        done, nobody = await save(
            context.session, parsed.rows, lambda count: progress.advance(task, count)
        )
    if nobody:
        await context.session.rollback()
        return done, nobody
    imported = CatalogImported(done.authors, done.movies, done.series, by=None)
    publish(context.session, imported)
    await context.cached_reads.written(context.session, NAMESPACE)
    return done, nobody


def _refuse(file: Path, wrong: list[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"imported": 0, "errors": wrong}))
        raise typer.Exit(1)
    for line in wrong[:MOST_LINES]:
        typer.echo(f"{file}: {line}", err=True)
    if len(wrong) > MOST_LINES:
        typer.echo(f"{file}: and {len(wrong) - MOST_LINES} more", err=True)
    typer.echo(f"{file}: {len(wrong)} lines are wrong; nothing was imported.", err=True)
    raise typer.Exit(1)
