"""Schema migrations, from a wheel as well as from a checkout; one node at a time."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.schema import CreateSchema, DropSchema

from undercroft.foundation import clock
from undercroft.foundation.apps import App, find_apps, load_app
from undercroft.foundation.clock import utc_now
from undercroft.foundation.db.base import Base
from undercroft.foundation.db.database import Database
from undercroft.foundation.db.logins import ensure_developer, ensure_rows_logins, quoted
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import DatabaseSettings, Settings

SCRIPTS = Path(__file__).parents[2] / "migrations"
LOCK = "undercroft migrations"
VERSION_SCHEMA = "undercroft"
_LONG = timedelta(days=1)


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Bring the database to `revision` and the logins beside ours up to date.

    At `head` the apps that are switched on follow, in their order. Other nodes that start at the
    same moment wait, then find nothing to do.
    """
    apps = with_tables(settings)

    def work(config: Config) -> None:
        config.attributes["repeat"] = revision == "head"
        command.upgrade(config, revision)
        if revision == "head":
            connection = config.attributes["connection"]
            ensure_rows_logins(connection, settings)
            ensure_developer(connection, settings)
            connection.commit()
            for app in apps:
                _upgrade_app(connection, app)

    _with_connection(settings, work)


def superuser_script() -> str:
    """What only a superuser may install; a server without it works, see the file."""
    return (SCRIPTS / "superuser" / "event_triggers.sql").read_text()


def downgrade(settings: Settings, revision: str = "-1", *, app: str | None = None) -> None:
    """Take migrations back: the platform's or, of an app, its own; at `base` the app is gone."""
    of = load_app(app) if app else None
    others = with_tables(settings)

    def work(config: Config) -> None:
        connection = config.attributes["connection"]
        for other in others:
            if of and of.name in other.requires and _current(connection, other.schema):
                raise SettingsInvalid(f"The app {other.name} needs {of.name}: take it back first.")
        command.downgrade(config_of(connection, of), revision)
        if of and _current(connection, of.schema) is None:
            _forget_app(connection, of)

    _with_connection(settings, work)


def current(settings: Settings, *, app: App | None = None) -> str | None:
    """The revision that the platform or an app is at, None where nothing is yet."""
    found: list[str | None] = []
    schema = app.schema if app else VERSION_SCHEMA
    _with_connection(
        settings, lambda config: found.append(_current(config.attributes["connection"], schema))
    )
    return found[0]


def history(app: App | None = None) -> list[tuple[str, str]]:
    """(revision, message) from the oldest to the newest."""
    scripts = ScriptDirectory.from_config(config_of(None, app)).walk_revisions()
    return [(script.revision, script.doc) for script in reversed(list(scripts))]


def write_revision(message: str, versions: Path = SCRIPTS / "versions") -> Path:
    """Write an empty migration after the newest one and return its path.

    Raises `CommandError` when there is no word in the message, or the file exists.
    """
    words = re.findall(r"[a-z0-9]+", message.lower())[:4]
    if not words:
        raise CommandError("Say in a sentence what changes.")
    head = ScriptDirectory(str(SCRIPTS)).get_current_head() or ""
    number = int(re.match(r"\d*", head)[0] or 0) + 1  # type: ignore[index]
    path = versions / f"{clock.utc_now():%Y_%m_%d}_{'_'.join(words)}.py"
    if path.exists():
        raise CommandError(f"{path} exists; choose other words.")
    name = f"{number:04d}_{'_'.join(words[:2])}"
    path.write_text(TEMPLATE.format(message=message.rstrip("."), revision=name, head=head))
    return path


TEMPLATE = '''"""{message}."""

from alembic import op

revision = "{revision}"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nobody waits long for a lock: the migration fails and is tried again in a quieter hour.
    op.execute("SET LOCAL lock_timeout = \'5s\'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = \'5s\'")
'''


def check(settings: Settings) -> list[str]:
    """What differs between models and database, a line each; empty when they agree."""
    found: list[str] = []
    apps = with_tables(settings)

    def compare(config: Config) -> None:
        connection = config.attributes["connection"]
        for app in (None, *apps):
            found.extend(_differences(config_of(connection, app, compare=True)))

    _with_connection(settings, compare)
    return found


def revise(settings: Settings, app: App, message: str) -> Path:
    """Write the migration that brings the app's schema to its models."""
    made: list[Any] = []

    def work(config: Config) -> None:
        connection = config.attributes["connection"]
        number = len(history(app)) + 1
        today = utc_now().strftime("%Y_%m_%d")
        own = config_of(connection, app, compare=True)
        own.set_main_option("file_template", f"{today}_{number:04d}_%%(slug)s")
        made.append(
            command.revision(
                own, message, autogenerate=True, rev_id=f"{number:04d}", head="head", splice=False
            )
        )

    _with_connection(settings, work)
    return Path(made[0].path)


def with_tables(settings: Settings) -> list[App]:
    """The apps that are switched on and have migrations."""
    return [app for app in find_apps(settings) if app.migrations]


def config_of(
    connection: Connection | None, app: App | None = None, *, compare: bool = False
) -> Config:
    """Alembic's configuration; the platform's environment serves the apps' own versions too.

    To `compare` with the models they have to be imported.
    """
    config = Config()
    config.set_main_option("script_location", _escaped(SCRIPTS))
    config.set_main_option("path_separator", "os")
    if app and app.migrations:
        config.set_main_option("version_locations", _escaped(app.migrations))
    config.attributes["connection"] = connection
    config.attributes["app"] = app
    config.attributes["compare"] = compare
    return config


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")  # the option is a template


def _upgrade_app(connection: Connection, app: App) -> None:
    """In its own schema, which the platform's table of apps hides from the data API first."""
    named = {"name": app.name}
    known = connection.scalar(text("SELECT true FROM undercroft.apps WHERE name = :name"), named)
    if not known:
        if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": quoted(app.schema)}):
            raise SettingsInvalid(
                f"The app {app.name} keeps its tables in a schema of that name, and there is one "
                "of somebody else's. Rename that (ALTER SCHEMA … RENAME TO …) or call the app "
                "something else."
            )
        connection.execute(text("INSERT INTO undercroft.apps (name) VALUES (:name)"), named)
        connection.execute(CreateSchema(app.schema))
        connection.commit()
    command.upgrade(config_of(connection, app), "head")
    # Only now: what it declares may be of tables that were just made.
    personal = json.dumps([asdict(part) for part in app.personal])
    keep = "UPDATE undercroft.apps SET personal = CAST(:personal AS jsonb) WHERE name = :name"
    connection.execute(text(keep), {"personal": personal, **named})
    connection.commit()


def _forget_app(connection: Connection, app: App) -> None:
    """Leave the schema where somebody put something else into it."""
    connection.execute(text("DELETE FROM undercroft.apps WHERE name = :name"), {"name": app.name})
    connection.execute(text(f"DROP TABLE {quoted(app.schema)}.alembic_version"))
    others = "SELECT true FROM pg_class WHERE relnamespace = to_regnamespace(:name) LIMIT 1"
    if not connection.scalar(text(others), {"name": quoted(app.schema)}):
        connection.execute(DropSchema(app.schema))
    connection.commit()


def _differences(config: Config) -> list[str]:
    found: list[str] = []
    script = ScriptDirectory.from_config(config)

    def compare(_revision: object, context: MigrationContext) -> list[Any]:
        differences = compare_metadata(context, Base.metadata)
        found.extend(str(change) for change in differences)
        return []

    with EnvironmentContext(config, script, fn=compare):
        script.run_env()
    return found


def _with_connection(settings: Settings, work: Callable[[Config], Any]) -> None:
    asyncio.run(_run(settings.database, work))


async def _run(settings: DatabaseSettings, work: Callable[[Config], Any]) -> None:
    # A migration may take its time; statements of requests may not.
    database = Database(settings.model_copy(update={"statement_timeout": _LONG}))
    try:
        async with database.engine.connect() as connection:
            await connection.run_sync(_locked, work)
            await connection.commit()
    finally:
        await database.dispose()


def _locked(connection: Connection, work: Callable[[Config], Any]) -> None:
    connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": LOCK})
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {VERSION_SCHEMA}"))
    connection.commit()
    try:
        work(config_of(connection))
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), {"name": LOCK})


def _current(connection: Connection, schema: str) -> str | None:
    options = {"version_table_schema": schema}
    return MigrationContext.configure(connection, opts=options).get_current_revision()
