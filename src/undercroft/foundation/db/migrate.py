"""Schema migrations, from a wheel as well as from a checkout; one node at a time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db.base import Base
from undercroft.foundation.db.database import Database
from undercroft.foundation.db.scripts import run_script
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import DatabaseSettings, Settings

SCRIPTS = Path(__file__).parents[2] / "migrations"
LOCK = "undercroft migrations"
VERSION_SCHEMA = "undercroft"
_LONG = timedelta(days=1)


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Bring the database to `revision` and the rows API's login role up to date.

    Other nodes that start at the same moment wait, then find nothing to do.
    """

    def work(config: Config) -> None:
        config.attributes["repeat"] = revision == "head"
        command.upgrade(config, revision)
        if revision == "head":
            connection = config.attributes["connection"]
            _ensure_authenticator(connection, settings)
            connection.commit()

    _with_connection(settings, work)


def superuser_script() -> str:
    """What only a superuser may install; a server without it works, see the file."""
    return (SCRIPTS / "superuser" / "event_triggers.sql").read_text()


def downgrade(settings: Settings, revision: str = "-1") -> None:
    _with_connection(settings, lambda config: command.downgrade(config, revision))


def current(settings: Settings) -> str | None:
    """The revision the database is at, None for an empty one."""
    found: list[str | None] = []
    _with_connection(settings, lambda config: found.append(_current(config)))
    return found[0]


def history() -> list[tuple[str, str]]:
    """(revision, message) from the oldest to the newest."""
    scripts = ScriptDirectory(str(SCRIPTS)).walk_revisions()
    return [(script.revision, script.doc) for script in reversed(list(scripts))]


def check(settings: Settings) -> list[str]:
    """What differs between models and database, a line each; empty when they agree."""
    found: list[str] = []

    def compare(config: Config) -> None:
        options = {
            "include_schemas": True,
            "include_name": _is_ours,
            "version_table_schema": VERSION_SCHEMA,
        }
        context = MigrationContext.configure(config.attributes["connection"], opts=options)
        found.extend(str(change) for change in compare_metadata(context, Base.metadata))

    _with_connection(settings, compare)
    return found


def authenticator_url(settings: Settings) -> str:
    """URL of the rows API's login: as set, or `database.url` with the derived role."""
    database = settings.database
    if database.authenticator_url:
        return database.authenticator_url.get_secret_value()
    if database.url is None or settings.secret_key is None:
        raise SettingsInvalid("DATABASE_URL and SECRET_KEY are needed for the rows API's login.")
    return _with_login(
        database.url.get_secret_value(),
        database.authenticator_role,
        _authenticator_password(settings),
    )


def _ensure_authenticator(connection: Connection, settings: Settings) -> None:
    """Make the login of the rows API: it owns nothing and may only become the API's roles."""
    if settings.database.authenticator_url or settings.secret_key is None:
        return
    password = _authenticator_password(settings)  # hexadecimal: needs no escaping
    role = _quoted(settings.database.authenticator_role)
    script = f"""
        DO $do$ BEGIN
            CREATE ROLE {role} LOGIN NOINHERIT;
        EXCEPTION WHEN duplicate_object THEN NULL;
        END $do$;
        ALTER ROLE {role} WITH LOGIN NOINHERIT PASSWORD '{password}';
        GRANT anon, authenticated, service_role TO {role};
        GRANT USAGE ON SCHEMA undercroft TO {role};
    """
    run_script(connection, script)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _with_login(url: str, user: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    host = authority.rpartition("@")[2]
    return f"{scheme}://{user}:{password}@{host}{slash}{tail}"


def _authenticator_password(settings: Settings) -> str:
    assert settings.secret_key
    return Keyring(settings.secret_key.get_secret_value()).derive("authenticator")


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
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": LOCK})
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {VERSION_SCHEMA}"))
    connection.commit()
    try:
        work(config)
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), {"name": LOCK})


def _is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Compare only tables that models describe; the job queue's belong to its library."""
    if kind == "schema":
        return name in {table.schema for table in Base.metadata.tables.values()}
    if kind == "table":
        return f"{parents['schema_name']}.{name}" in Base.metadata.tables
    return True


def _current(config: Config) -> str | None:
    options = {"version_table_schema": VERSION_SCHEMA}
    connection = config.attributes["connection"]
    return MigrationContext.configure(connection, opts=options).get_current_revision()
