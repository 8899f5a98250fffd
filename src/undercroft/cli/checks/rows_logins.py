"""The logins of the rows API: that they log in, and that visitors' cannot become service_role."""

from collections.abc import AsyncIterator

import asyncpg

from undercroft.cli.checks.finding import Finding, Level, finding
from undercroft.foundation.access import Role
from undercroft.foundation.db import WatchedConnection
from undercroft.foundation.db.logins import Login, authenticator, quoted, visitor
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings

UPGRADE = "Run `undercroft db upgrade`."
VISITORS = (Role.ANON.value, Role.AUTHENTICATED.value)
EVERYBODY = (*VISITORS, Role.SERVICE.value)
ITSELF = """
    SELECT current_user AS role,
           ARRAY(SELECT name FROM unnest($1::name[]) AS name
                  WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = name)
                    AND pg_has_role(current_user, name, 'MEMBER')) AS becomes,
           ARRAY(SELECT item FROM pg_db_role_setting s, unnest(s.setconfig) AS item
                  WHERE s.setrole = current_user::regrole) AS settings,
           to_regnamespace('undercroft') IS NULL
               OR has_schema_privilege('undercroft', 'USAGE') AS enters
"""


async def rows_login_findings(
    connection: "asyncpg.Connection", settings: Settings
) -> AsyncIterator[Finding]:
    """Both on their own connections: what a login may do, it knows best itself."""
    if not await connection.fetchval("SELECT to_regclass('auth.organizations') IS NOT NULL"):
        return
    try:
        logins = {"Service login": authenticator(settings), "Visitor login": visitor(settings)}
    except SettingsInvalid as error:
        yield Finding("Visitor login", Level.FAIL, str(error))
        return
    for name, login in logins.items():
        wanted = EVERYBODY if name == "Service login" else VISITORS
        yield await _examine(name, login, wanted)


async def _examine(name: str, login: Login, wanted: tuple[str, ...]) -> Finding:
    try:
        connection = await asyncpg.connect(
            login.url, timeout=10, connection_class=WatchedConnection
        )
    except (OSError, asyncpg.PostgresError) as error:
        advice = UPGRADE if login.password else "Check its URL, UNDERCROFT_DATABASE__…_URL."
        return Finding(name, Level.FAIL, f"{login.role} cannot log in: {error}", advice)
    try:
        found = await connection.fetchrow(ITSELF, list(EVERYBODY))
    finally:
        await connection.close()
    assert found
    return _judge(name, login, found, wanted)


def _judge(name: str, login: Login, found: asyncpg.Record, wanted: tuple[str, ...]) -> Finding:
    role = quoted(found["role"])
    missing = [group for group in wanted if group not in found["becomes"]]
    if missing or not found["enters"]:
        statements = [f"GRANT {group} TO {role};" for group in missing]
        if not found["enters"]:
            statements.append(f"GRANT USAGE ON SCHEMA undercroft TO {role};")
        lacks = ", ".join([*missing, *([] if found["enters"] else ["the schema undercroft"])])
        advice = UPGRADE if login.password else f"As a superuser: {' '.join(statements)}"
        return Finding(name, Level.FAIL, f"{role} has no way to {lacks}", advice)
    if found["settings"]:
        advice = f"Its sessions begin with these. Unless you set them: ALTER ROLE {role} RESET ALL;"
        return Finding(name, Level.WARN, f"{role} has {', '.join(found['settings'])}", advice)
    return finding(
        name,
        f"{found['role']} becomes {', '.join(found['becomes'])}",
        fine=set(found["becomes"]) == set(wanted),
        advice="Functions that anybody calls may become service_role in its sessions. Make a login "
        "of its own: see «Logins of the rows API» in docs/guides/deploy.md.",
    )
