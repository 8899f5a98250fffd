"""The logins beside our own: what each is called, how it is reached, how migrations make it.

`visitor` owns nothing and becomes anon or authenticated. `authenticator` becomes service_role too:
code in a session may always become what its login may, so the two never share one. `developer`
owns what customers make and may do nothing with ours: code that customers wrote runs as it, never
as the control plane.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg
import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db.database import Database
from undercroft.foundation.db.pipeline import PasswordRefused
from undercroft.foundation.db.scripts import run_script
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings

Opened = TypeVar("Opened")

log = structlog.get_logger()

RESET_ATTEMPTS = 10
# A role may set defaults of its own. These would keep its sessions from starting or writing; what a
# session is opened with comes before them.
UNMOVED = {
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    # One that does not exist keeps every session from starting.
    "local_preload_libraries": "",
    "lock_timeout": "0",
    "row_security": "on",
}


# Some routines there have their definer's rights. Of those that the rows API's logins call, none
# does what these may not.
CLOSED_ROUTINES = """
    REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA undercroft FROM PUBLIC;
    GRANT EXECUTE ON ROUTINE undercroft.judge_rows, undercroft.find_answer,
        undercroft.keep_answer TO PUBLIC;
"""


@dataclass(frozen=True, slots=True)
class Login:
    """A role with its address. `password` is None where somebody else made the role."""

    role: str
    url: str
    password: str | None = None

    async def connect(self, database: Database, **options: Any) -> Any:
        """Open a connection of asyncpg."""
        return await self.reach(database, lambda: asyncpg.connect(self.url, **options))

    async def reach(self, database: Database, open_one: Callable[[], Awaitable[Opened]]) -> Opened:
        """Open a connection; a password that the role changed, which it may, is taken back."""
        try:
            return await open_one()
        except (asyncpg.InvalidPasswordError, PasswordRefused):
            if self.password is None:
                raise
            log.warning("password_of_login_was_changed", role=self.role)
            statement = f"ALTER ROLE {quoted(self.role)} PASSWORD '{self.password}'"
            await change_roles(database, [statement])
            return await open_one()


def authenticator(settings: Settings) -> Login:
    """The login of the rows API for the service key."""
    database = settings.database
    if database.authenticator_url:
        return _set(database.authenticator_url.get_secret_value())
    return _derived(settings, database.authenticator_role, "authenticator")


def visitor(settings: Settings) -> Login:
    """The login of the rows API for everybody else.

    Whoever set one login before there were two keeps it for both.
    """
    database = settings.database
    if database.visitor_url:
        return _set(database.visitor_url.get_secret_value())
    if database.authenticator_url:
        return authenticator(settings)
    return _derived(settings, database.visitor_role, "visitor")


def developer(settings: Settings) -> Login:
    """The developer's login, past a transaction-mode pooler: its sessions keep state."""
    database = settings.database
    if database.developer_url:
        return _set(database.developer_url.get_secret_value(), database.developer_role)
    return _derived(settings, database.developer_role, "developer")


async def change_roles(database: Database, statements: Sequence[str]) -> None:
    """Roles are rows whose writers Postgres refuses instead of letting them wait."""
    for attempt in range(1, RESET_ATTEMPTS + 1):
        try:
            async with database.unit_of_work() as session:
                for statement in statements:
                    await session.execute(text(statement))
        except DBAPIError as error:
            if attempt == RESET_ATTEMPTS or "concurrently" not in str(error.orig):
                raise
        else:
            return


def developer_role(settings: Settings) -> str:
    url, usual = settings.database.developer_url, settings.database.developer_role
    return _set(url.get_secret_value(), usual).role if url else usual


def ensure_rows_logins(connection: Connection, settings: Settings) -> None:
    """Make the logins of the rows API: they own nothing and may only become the API's roles."""
    run_script(connection, CLOSED_ROUTINES)
    database = settings.database
    if database.authenticator_url or settings.secret_key is None:
        return
    logins = [(authenticator(settings), "anon, authenticated, service_role")]
    if not database.visitor_url:
        logins.append((visitor(settings), "anon, authenticated"))
    for login, roles in logins:
        role = quoted(login.role)
        script = f"""
            {_login(role, login.password or "")}
            GRANT {roles} TO {role};
            GRANT USAGE ON SCHEMA undercroft TO {role};
        """
        run_script(connection, script)


def ensure_developer(connection: Connection, settings: Settings) -> None:
    """Make the developer's login, what it may do, and the way by which the control plane uses it.

    With `developer_url` the login is somebody else's to make; `developer.sql` says what it needs.
    """
    role = developer_role(settings)
    if not settings.database.developer_url:
        if settings.secret_key is None:
            return
        run_script(connection, _login(quoted(role), password_of(settings, "developer")))
        # A session's own defaults would outlive it, for everybody who comes after.
        run_script(connection, f"ALTER ROLE {quoted(role)} RESET ALL")
    script = files(__package__).joinpath("developer.sql").read_text("utf-8")
    literal = "'" + role.replace("'", "''") + "'"
    named = script.replace("{developer_literal}", literal).replace("{developer}", quoted(role))
    run_script(connection, named)


def password_of(settings: Settings, purpose: str) -> str:
    """Hexadecimal, so that it needs no escaping."""
    assert settings.secret_key
    return Keyring(settings.secret_key.get_secret_value()).derive(purpose)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _login(role: str, password: str) -> str:
    return f"""
        DO $do$ BEGIN
            CREATE ROLE {role} LOGIN NOINHERIT;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $do$;
        ALTER ROLE {role} WITH LOGIN NOINHERIT PASSWORD '{password}';
    """


def _set(url: str, otherwise: str = "") -> Login:
    """A login that somebody else made, whose URL need not name it."""
    return Login(unquote(urlsplit(url).username or "") or otherwise, url)


def _derived(settings: Settings, role: str, purpose: str) -> Login:
    database = settings.database
    base = database.url
    if purpose == "developer" and database.pooled and database.listen_url:
        base = database.listen_url
    if base is None or settings.secret_key is None:
        raise SettingsInvalid(f"DATABASE_URL and SECRET_KEY are needed for the login '{role}'.")
    password = password_of(settings, purpose)
    return Login(role, _with_login(base.get_secret_value(), role, password), password)


def _with_login(url: str, user: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    host = authority.rpartition("@")[2]
    return f"{scheme}://{user}:{password}@{host}{slash}{tail}"
