"""The root command, and what a user's mistake looks like: one sentence and an exit code."""

import sys
from socket import gaierror
from typing import Annotated

import typer

from undercroft.cli import (
    activity,
    advise,
    apps,
    bench,
    db,
    doctor,
    exporting,
    groups,
    importing,
    jobs,
    keys,
    outbox,
    rest,
    routes,
    serve,
    settings,
    sql,
    storage,
    types,
    users,
    webhooks,
    worker,
)
from undercroft.cli.apps import RootGroup

app = typer.Typer(
    cls=RootGroup,
    name="undercroft",
    help="The backend under an application.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("rest", context_settings={"help_option_names": ["-h", "--help"]})(rest.rest)
app.command("import")(importing.import_file)
app.command("export")(exporting.export_table)
app.command("advise")(advise.advise)
app.command("types")(types.types)
app.command("sql")(sql.sql)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.add_typer(apps.app, name="app")
app.add_typer(db.app, name="db")
app.add_typer(settings.app, name="settings")
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(jobs.app, name="jobs")
app.command("outbox")(outbox.show_outbox)
app.add_typer(groups.app, name="groups")
app.add_typer(storage.app, name="storage")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(activity.app, name="activity")
app.command("routes")(routes.list_routes)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("undercroft"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the command line; wrong settings exit with 2, other refusals with 1."""
    from undercroft.foundation.context import set_work

    set_work(" ".join(["command line:", *sys.argv[1:3]]))
    try:
        app()
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        print(f"undercroft: {_words(error)}", file=sys.stderr)
        sys.exit(status)


def _words(error: Exception) -> str:
    """A problem says what is wrong in its title, and in its detail what to do about it."""
    from undercroft.foundation.problems import Problem

    if _is_older_schema(error):
        return (
            "The database's schema is not the one that this version needs. Run `undercroft db "
            "upgrade`, and start `undercroft serve` anew if it is of another version."
        )
    if isinstance(error, (ConnectionError, TimeoutError, gaierror)):
        return (
            f"A server that the settings name cannot be reached: {error}. Ask `undercroft doctor`."
        )
    if not isinstance(error, Problem):
        return str(error)
    return ". ".join(part for part in (error.title, error.sentence()) if part)


def _status(error: Exception) -> int | None:
    """The exit code of a refusal that explains itself, None for a bug."""
    from asyncpg import PostgresError

    from undercroft.foundation.crypto import SealedElsewhere
    from undercroft.foundation.embedded.errors import EnginesUnavailable
    from undercroft.foundation.problems import Problem, SettingsInvalid
    from undercroft.server.errors import CannotServe

    explained: tuple[type[Exception], ...] = (
        EnginesUnavailable,
        CannotServe,
        Problem,
        SealedElsewhere,
    )
    # Servers that are elsewhere: unreachable, or refusing us.
    explained += (OSError, PostgresError)
    if "alembic" in sys.modules:
        from alembic.util import CommandError

        explained += (CommandError,)
    if isinstance(error, SettingsInvalid):
        return 2
    return 1 if isinstance(error, explained) or _is_older_schema(error) else None


def _is_older_schema(error: Exception) -> bool:
    """A statement of ours that named a schema, table, column or function that is not there."""
    if "sqlalchemy" not in sys.modules:
        return False
    from sqlalchemy.exc import ProgrammingError

    missing = {"3F000", "42P01", "42703", "42883"}
    return isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", "") in missing
