"""`undercroft db`: the schema and its copies."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undercroft.foundation.embedded.postgres import PostgresEngine
    from undercroft.foundation.settings import Settings

app = typer.Typer(help="The database: migrations, copies.", no_args_is_help=True)

AppOption = Annotated[
    str | None, typer.Option("--app", help="An app instead of the platform.", show_default=False)
]
RevisionArgument = Annotated[str, typer.Argument(help="A revision, head, or a step such as -1.")]


@app.command("upgrade")
def upgrade(revision: RevisionArgument = "head", home: HomeOption = None) -> None:
    """Bring the schema to a revision; at head the apps that are switched on, too."""
    from undercroft.foundation.db import migrate

    with _database(home, "db upgrade") as (settings, engine):
        _upgrade(settings, engine, revision)
        print(f"The schema is at {migrate.current(settings)}.")
        for app in migrate.with_tables(settings):
            print(f"The app {app.name} is at {migrate.current(settings, app=app)}.")


@app.command("downgrade")
def downgrade(
    revision: RevisionArgument = "-1", app_name: AppOption = None, home: HomeOption = None
) -> None:
    """Take migrations back, and what they added with them.

    Switching an app off leaves its data alone; `db downgrade base --app NAME` deletes them.
    """
    from undercroft.foundation.apps import load_app
    from undercroft.foundation.db import migrate

    with _database(home, "db downgrade") as (settings, _):
        try:
            migrate.downgrade(settings, revision, app=app_name)
        except RuntimeError as error:  # a migration that says why it cannot be taken back
            print(error)
            raise typer.Exit(1) from error
        of = load_app(app_name) if app_name else None
        found = migrate.current(settings, app=of) or "no revision"
        print(f"{f'The app {of.name}' if of else 'The schema'} is at {found}.")


@app.command("current")
def current(
    app_name: AppOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Print the revision of the schema."""
    import json

    from undercroft.foundation.apps import load_app
    from undercroft.foundation.db import migrate

    with _database(home, "db current") as (settings, _):
        of = load_app(app_name) if app_name else None
        found, newest = migrate.current(settings, app=of), migrate.history(of)[-1][0]
    if as_json:
        print(json.dumps({"revision": found, "newest": newest, "up_to_date": found == newest}))
    else:
        print(found or "none")


@app.command("history")
def history(app_name: AppOption = None, as_json: JsonOption = False) -> None:
    """List the migrations of this version, the oldest first."""
    import json

    from undercroft.foundation.apps import load_app
    from undercroft.foundation.db import migrate

    found = migrate.history(load_app(app_name) if app_name else None)
    if as_json:
        print(json.dumps([{"revision": name, "message": text} for name, text in found]))
    else:
        print("\n".join(f"{name}  {text}" for name, text in found))


@app.command("revision")
def revision(
    message: Annotated[str, typer.Argument(help="What changes, as a sentence.")],
) -> None:
    """Write the file of a new migration after the newest, to be filled in. For a checkout.

    Example: `undercroft db revision "Members have a title."`
    """
    from undercroft.foundation.db import migrate

    path = migrate.write_revision(message)
    print(f"Wrote {path}. Fill in `upgrade`, change the models, then `undercroft db check`.")


@app.command("check")
def check(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Compare the schema with the models; exit with 1 when they differ."""
    import json

    from undercroft.foundation.db import migrate

    with _database(home, "db check") as (settings, _):
        differences = migrate.check(settings)
    if as_json:
        print(json.dumps({"matches": not differences, "differences": differences}))
    else:
        print("\n".join(differences) or "The schema is what the models say.")
    if differences:
        raise typer.Exit(1)


@app.command("triggers")
def triggers(
    url: Annotated[
        str,
        typer.Option(envvar="SUPERUSER_DATABASE_URL", help="The same database, as a superuser."),
    ],
    home: HomeOption = None,
) -> None:
    """Install the event triggers in a database of your own, which takes a superuser once.

    With them the rows API sees every schema change at once, and tables made by any tool start
    closed. An embedded database has them already.
    """
    from undercroft.cli import copies
    from undercroft.foundation.db import migrate

    with _database(home, "db triggers") as (_settings, engine):
        if engine is None:
            copies.run_script(url, migrate.superuser_script())
    print("The event triggers are installed.")


@app.command("dump")
def dump(
    file: Annotated[Path, typer.Argument(help="Where to write it.", dir_okay=False)],
    home: HomeOption = None,
) -> None:
    """Copy the database into a file. It does not hold the secret key: keep that too."""
    from undercroft.cli import copies

    with _database(home, "db dump") as (settings, engine):
        copies.dump(settings, engine, file)
    print(f"Wrote {file}. What is sealed in it opens only with the same secret key.")


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="From `db dump`.", exists=True, dir_okay=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> None:
    """Replace the database by a copy, then bring it to this version's schema."""
    from undercroft.cli import copies

    _confirm("Replace everything in the database?", yes=yes)
    with _database(home, "db restore", alone=True) as (settings, engine):
        _upgrade(settings, engine, "head")  # makes the roles that the copy refers to
        copies.restore(settings, engine, file)
        _upgrade(settings, engine, "head")
    print(f"Restored {file}.")


@app.command("seed")
def seed(
    demo: Annotated[
        bool, typer.Option("--demo", help="Also a small world to look at; prints its logins.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="The demo in production, too.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in what every installation has: permissions, groups, keys, the first superuser.

    `serve` does it at every start; run it where only workers or functions run. What is there stays
    as it is. A superuser is made when there is none and FIRST_SUPERUSER_EMAIL names one, on an
    embedded home in any case.
    """
    import json

    from undercroft.app import bootstrap
    from undercroft.foundation.settings import Environment

    with _database(home, "db seed") as (settings, engine):
        if demo and settings.environment is Environment.PRODUCTION and not yes:
            print("This makes accounts with a known password; in production only with --yes.")
            raise typer.Exit(1)
        _upgrade(settings, engine, "head")
        made = bootstrap(settings, embedded=engine is not None)
        seen = _seed_demo(settings) if demo else []
    if as_json:
        print(json.dumps({"superuser": made and made.identifier}))
        return
    print("Permissions, groups and keys are in place.")
    if made:
        print(f"First superuser: {made.identifier}, password {made.password or 'as you set it'}")
    if seen:
        print("\n".join(seen))


def _seed_demo(settings: "Settings") -> list[str]:
    import asyncio

    from undercroft.cli import demo

    try:
        return asyncio.run(demo.seed(settings))
    except demo.DemoRefused as error:
        print(f"The demo could not be made whole. {error}")
        raise typer.Exit(1) from error


@app.command("reset")
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> None:
    """Empty the embedded database: accounts, tables, keys, everything."""
    _confirm("Delete everything in the database?", yes=yes)
    with _database(home, "db reset", alone=True) as (settings, engine):
        if engine is None:
            print("Only an embedded database is reset from here; drop yours where it runs.")
            raise typer.Exit(1)
        engine.recreate_database()
        _upgrade(settings, engine, "head")
    print("The database is empty. The next `undercroft serve` makes its keys and superuser.")


@contextmanager
def _database(
    home: Path | None, command: str, *, alone: bool = False
) -> "Iterator[tuple[Settings, PostgresEngine | None]]":
    """Settings to work with and, when the database is embedded, its engine."""
    from undercroft.foundation.embedded import EmbeddedEngines, Home, open_engines

    settings = settings_for(home)
    with open_engines(settings, command=command, alone=alone) as filled:
        yield filled, EmbeddedEngines(Home(settings.home), settings).postgres


def _upgrade(settings: "Settings", engine: "PostgresEngine | None", revision: str) -> None:
    from undercroft.foundation.db import migrate

    migrate.upgrade(settings, revision)
    if engine and revision == "head":
        engine.as_superuser(migrate.superuser_script())


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True)
