"""The developer's login: that it is there, may do its work and no more, and owns what it should."""

from collections.abc import AsyncIterator

import asyncpg

from undercroft.cli.checks.finding import Finding, Level, finding
from undercroft.foundation.db import WatchedConnection
from undercroft.foundation.db.logins import developer, developer_role, quoted
from undercroft.foundation.settings import Settings

LOGIN, LIMITS, RIGHTS, OWNERSHIP = "Developer", "Its limits", "Its rights", "Ownership"
UPGRADE = "Run `undercroft db upgrade`."
GUIDE = "See «Your own server» in docs/guides/sql.md."
ATTRIBUTES = {
    "SUPERUSER": "rolsuper",
    "CREATEROLE": "rolcreaterole",
    "CREATEDB": "rolcreatedb",
    "BYPASSRLS": "rolbypassrls",
    "REPLICATION": "rolreplication",
}
MEMBERSHIPS = """
    SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
     WHERE m.member = $1::text::regrole ORDER BY 1
"""
# What it needs, and whether it is there. One row of booleans, named as they are reported.
GRANTED = """
    SELECT has_database_privilege($1::name, current_database(), 'CREATE')
               AS "CREATE on the database",
           has_schema_privilege($1::name, 'public', 'CREATE') AS "CREATE on the schema public",
           has_schema_privilege($1::name, 'auth', 'USAGE') AS "USAGE on the schema auth",
           has_schema_privilege($1::name, 'extensions', 'USAGE')
               AS "USAGE on the schema extensions",
           has_column_privilege($1::name, 'auth.users', 'id', 'REFERENCES')
               AND has_column_privilege($1::name, 'auth.organizations', 'id', 'REFERENCES')
               AS "REFERENCES on accounts and organizations",
           pg_has_role(current_user, $1::name, 'MEMBER')
               AS "membership of the role of DATABASE_URL",
           EXISTS (SELECT FROM pg_proc p
                    WHERE p.oid = to_regprocedure('undercroft.as_developer(text,text,text)')
                      AND p.proowner = $1::text::regrole) AS "undercroft.as_developer",
           (SELECT count(*) = 3 FROM pg_default_acl a, aclexplode(a.defaclacl) e
             WHERE a.defaclrole = $1::text::regrole AND a.defaclnamespace = 0
               AND e.grantee = 'service_role'::regrole
               AND (a.defaclobjtype, e.privilege_type) IN
                   (('r', 'SELECT'), ('S', 'USAGE'), ('f', 'EXECUTE')))
               AS "default privileges for service_role"
"""
STRANGERS = """
    SELECT r.rolname AS owner, r.rolname = current_user AS ours,
           format('%I.%I', n.nspname, c.relname) AS name, count(*) OVER () AS total
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
     WHERE undercroft.is_exposed(n.nspname) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND c.relowner <> $1::text::regrole
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                        AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY ours DESC, name LIMIT 1
"""
MIGRATED = "SELECT to_regclass('auth.organizations') IS NOT NULL"


async def developer_findings(
    connection: "asyncpg.Connection", settings: Settings
) -> AsyncIterator[Finding]:
    """The SQL console and the tables API work with this login."""
    role = developer_role(settings)
    found = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", role)
    migrated = await connection.fetchval(MIGRATED)
    if found is None:
        yield _missing(role, settings, migrated=migrated)
        return
    yield await _login(role, settings)
    yield await _too_much(connection, role, found)
    if migrated:
        yield await _rights(connection, role)
        yield await _statements(connection, role)
        yield await _ownership(connection, role)


def _missing(role: str, settings: Settings, *, migrated: bool) -> Finding:
    if settings.database.developer_url:
        advice = f"As a superuser: CREATE ROLE {quoted(role)} LOGIN PASSWORD '…'; {GUIDE}"
        return Finding(LOGIN, Level.FAIL, f"there is no role {role}", advice)
    if migrated:
        return Finding(LOGIN, Level.FAIL, f"there is no role {role}", UPGRADE)
    return Finding(LOGIN, Level.OK, f"{role}, made by the migrations")


async def _login(role: str, settings: Settings) -> Finding:
    try:
        connection = await asyncpg.connect(
            developer(settings).url, timeout=10, connection_class=WatchedConnection
        )
    except (OSError, asyncpg.PostgresError) as error:
        own = settings.database.developer_url is not None
        advice = "Check UNDERCROFT_DATABASE__DEVELOPER_URL." if own else UPGRADE
        return Finding(LOGIN, Level.FAIL, f"{role} cannot log in: {error}", advice)
    await connection.close()
    return Finding(LOGIN, Level.OK, f"{role} logs in")


async def _too_much(connection: "asyncpg.Connection", role: str, found: asyncpg.Record) -> Finding:
    """Whatever it may become or bypass, everybody with the console may."""
    attributes = [name for name, column in ATTRIBUTES.items() if found[column]]
    groups = [row["rolname"] for row in await connection.fetch(MEMBERSHIPS, quoted(role))]
    removed = " ".join(f"NO{name}" for name in attributes)
    statements = [f"ALTER ROLE {quoted(role)} {removed};"] if attributes else []
    statements += [f"REVOKE {quoted(group)} FROM {quoted(role)};" for group in groups]
    return finding(
        LIMITS,
        ", ".join([*attributes, *(f"member of {group}" for group in groups)])
        or "a member of nobody",
        fine=not statements,
        advice=f"Everybody with the SQL console has that too. {' '.join(statements)}",
        fatal=True,
    )


async def _rights(connection: "asyncpg.Connection", role: str) -> Finding:
    row = await connection.fetchrow(GRANTED, role)
    assert row
    missing = [name for name, granted in row.items() if not granted]
    return finding(
        RIGHTS,
        f"missing: {', '.join(missing)}" if missing else "as they should be",
        fine=not missing,
        advice=f"{UPGRADE} What it cannot grant: {GUIDE}",
        fatal=True,
    )


async def _statements(connection: "asyncpg.Connection", role: str) -> Finding:
    """Customers' code runs in sessions of the control plane too, and could read their names."""
    open_to_all = await connection.fetchval(
        "SELECT has_table_privilege($1::name, 'pg_prepared_statements', 'SELECT')", role
    )
    return finding(
        "Statements",
        "their names can be read by everybody" if open_to_all else "their names are hidden",
        fine=not open_to_all,
        advice="Whoever has the SQL console could replace the control plane's. "
        "`undercroft db triggers` with a superuser's URL hides them.",
    )


async def _ownership(connection: "asyncpg.Connection", role: str) -> Finding:
    """Tables of others work in the rows API; the console and the tables API cannot change them."""
    row = await connection.fetchrow(STRANGERS, quoted(role))
    if row is None:
        return Finding(OWNERSHIP, Level.OK, f"tables are {role}'s")
    more = f" and {row['total'] - 1} more" if row["total"] > 1 else ""
    advice = f"As {row['owner']} or a superuser: ALTER TABLE {row['name']} OWNER TO {quoted(role)};"
    return Finding(
        OWNERSHIP,
        Level.WARN,
        f"{row['name']}{more} belong to others ({row['owner']})",
        UPGRADE if row["ours"] else advice,
    )
