"""The logins beside our own: what each is called, how it is reached, how migrations make it.

`authenticator` owns nothing and becomes the roles of the API. `developer` owns what customers make
and may do nothing with ours: code that customers wrote runs as it, never as the control plane.
"""

from importlib.resources import files
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection

from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db.scripts import run_script
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings


def authenticator_url(settings: Settings) -> str:
    """URL of the rows API's login: as set, or `database.url` with the derived role."""
    database = settings.database
    if database.authenticator_url:
        return database.authenticator_url.get_secret_value()
    return _derived_url(settings, database.authenticator_role, "authenticator")


def developer_url(settings: Settings) -> str:
    """URL of the developer's login, past a transaction-mode pooler: its sessions keep state."""
    database = settings.database
    if database.developer_url:
        return database.developer_url.get_secret_value()
    return _derived_url(settings, database.developer_role, "developer")


def developer_role(settings: Settings) -> str:
    url = settings.database.developer_url
    named = unquote(urlsplit(url.get_secret_value()).username or "") if url else ""
    return named or settings.database.developer_role


def ensure_authenticator(connection: Connection, settings: Settings) -> None:
    """Make the login of the rows API: it owns nothing and may only become the API's roles."""
    if settings.database.authenticator_url or settings.secret_key is None:
        return
    role = quoted(settings.database.authenticator_role)
    script = f"""
        {_login(role, password_of(settings, "authenticator"))}
        GRANT anon, authenticated, service_role TO {role};
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


def reset_developer_password(role: str, settings: Settings) -> str:
    """The statement that takes back a password which the developer changed."""
    return f"ALTER ROLE {quoted(role)} PASSWORD '{password_of(settings, 'developer')}'"


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


def _derived_url(settings: Settings, role: str, purpose: str) -> str:
    database = settings.database
    base = database.url
    if purpose == "developer" and database.pooled and database.listen_url:
        base = database.listen_url
    if base is None or settings.secret_key is None:
        raise SettingsInvalid(f"DATABASE_URL and SECRET_KEY are needed for the login '{role}'.")
    return _with_login(base.get_secret_value(), role, password_of(settings, purpose))


def _with_login(url: str, user: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    host = authority.rpartition("@")[2]
    return f"{scheme}://{user}:{password}@{host}{slash}{tail}"
