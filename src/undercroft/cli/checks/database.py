"""What Undercroft needs of a PostgreSQL server, and what it can do without."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg

from undercroft.cli.checks.developer import developer_findings
from undercroft.cli.checks.finding import Finding, Level, finding
from undercroft.cli.checks.rows_logins import rows_login_findings
from undercroft.foundation.db import WatchedConnection
from undercroft.foundation.embedded.engines import USUAL_PROCESSES, connections_for
from undercroft.foundation.embedded.provision import EXTENSIONS
from undercroft.foundation.settings import Settings

OLDEST_MAJOR = 15
LETS_OTHERS_PASS_ROW_SECURITY = 16  # makes roles with BYPASSRLS for who has it, superuser or not
LARGEST_CLOCK_DIFFERENCE = timedelta(seconds=2)


async def database_findings(settings: Settings) -> AsyncIterator[Finding]:
    assert settings.database.url
    try:
        connection = await asyncpg.connect(
            settings.database.url.get_secret_value(), timeout=10, connection_class=WatchedConnection
        )
    except (OSError, asyncpg.PostgresError) as error:
        advice = "Check DATABASE_URL, and that the server runs and lets this machine in."
        yield Finding("Database", Level.FAIL, str(error) or type(error).__name__, advice)
        return
    try:
        yield await _version(connection)
        yield await _clock(connection)
        async for found in _privileges(connection):
            yield found
        if connection.get_server_version().major < LETS_OTHERS_PASS_ROW_SECURITY:
            yield await _service_role(connection)
        async for found in developer_findings(connection, settings):
            yield found
        async for found in rows_login_findings(connection, settings):
            yield found
        yield await _extensions(connection)
        yield await _wal_level(connection)
        yield await _replication(connection)
        yield await _slot_limit(connection)
        yield await _connections(connection, settings)
    finally:
        await connection.close()


def revision_finding(settings: Settings) -> Finding:
    """Whether the schema is the one this version was written for."""
    from undercroft.foundation.db import migrate

    found, wanted = migrate.current(settings), migrate.history()[-1][0]
    return finding(
        "Schema",
        found or "empty",
        fine=found == wanted,
        advice="Run `undercroft db upgrade`; `serve` does it by itself on an embedded home.",
    )


async def _version(connection: "asyncpg.Connection") -> Finding:
    version = connection.get_server_version()
    return finding(
        "Database",
        f"PostgreSQL {await connection.fetchval('SHOW server_version')}",
        fine=version.major >= OLDEST_MAJOR,
        advice=f"PostgreSQL {OLDEST_MAJOR} or newer is needed.",
        fatal=True,
    )


async def _clock(connection: "asyncpg.Connection") -> Finding:
    before = datetime.now(UTC)
    theirs = await connection.fetchval("SELECT clock_timestamp()")
    difference = abs(theirs - (before + (datetime.now(UTC) - before) / 2))
    return finding(
        "Clock",
        f"{difference.total_seconds():.3f} s from the database's",
        fine=difference <= LARGEST_CLOCK_DIFFERENCE,
        advice="Tokens expire by this clock: let both machines follow a time server.",
    )


async def _privileges(connection: "asyncpg.Connection") -> AsyncIterator[Finding]:
    role = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
    assert role
    needs = {
        "CREATEROLE": ("rolcreaterole", "Migrations make the roles of the rows API with it.", True),
        "BYPASSRLS": ("rolbypassrls", "Administration sees rows past their policies by it.", True),
        "REPLICATION": ("rolreplication", "Live changes need it; the rest works without.", False),
    }
    for attribute, (column, reason, fatal) in needs.items():
        has = role[column] or role["rolsuper"]
        advice = f'{reason} As a superuser: ALTER ROLE "{role["rolname"]}" {attribute};'
        yield finding(attribute, "yes" if has else "no", fine=has, advice=advice, fatal=fatal)


async def _service_role(connection: "asyncpg.Connection") -> Finding:
    """On old servers a superuser has to make the role, whatever ours may do."""
    fine = await connection.fetchval("""
        SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role' AND rolbypassrls)
            OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    """)
    return finding(
        "service_role",
        "there" if fine else "missing",
        fine=fine,
        advice="As a superuser: CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;",
        fatal=True,
    )


async def _extensions(connection: "asyncpg.Connection") -> Finding:
    rows = await connection.fetch("SELECT name FROM pg_available_extensions")
    missing = [name for name in EXTENSIONS if name not in {row["name"] for row in rows}]
    return finding(
        "Extensions",
        f"missing: {', '.join(missing)}" if missing else f"all {len(EXTENSIONS)} available",
        fine=not missing,
        advice="What is missing can be installed on the server; Undercroft runs without.",
    )


async def _wal_level(connection: "asyncpg.Connection") -> Finding:
    level = await connection.fetchval("SHOW wal_level")
    return finding(
        "WAL level",
        level,
        fine=level == "logical",
        advice="Live changes need wal_level = logical and a restart of the server.",
    )


async def _replication(connection: "asyncpg.Connection") -> Finding:
    """A free slot, a free sender and the right to use them, beside what we have already."""
    row = await connection.fetchrow("""
        SELECT (SELECT rolreplication OR rolsuper FROM pg_roles
                 WHERE rolname = current_user) AS may,
               current_setting('max_replication_slots')::int
                   - (SELECT count(*) FROM pg_replication_slots
                       WHERE slot_name NOT LIKE 'undercroft\\_changes\\_%') AS slots,
               current_setting('max_wal_senders')::int AS senders
    """)
    assert row is not None
    fine = row["may"] and row["slots"] > 0 and row["senders"] > 0
    said = (
        "slot, sender and right are there" if fine else "a slot, a sender or the right is missing"
    )
    return finding(
        "Replication",
        said,
        fine=fine,
        advice="Live changes need ALTER ROLE … REPLICATION, a replication slot and a WAL sender.",
    )


async def _slot_limit(connection: "asyncpg.Connection") -> Finding:
    limit = await connection.fetchval("SHOW max_slot_wal_keep_size")
    return finding(
        "Slot limit",
        "none" if limit == "-1" else limit,
        fine=limit != "-1",
        advice="Set max_slot_wal_keep_size: a slot that nobody reads must not fill the disk.",
    )


async def _connections(connection: "asyncpg.Connection", settings: Settings) -> Finding:
    allowed = int(await connection.fetchval("SHOW max_connections"))
    wanted = connections_for(settings, USUAL_PROCESSES)
    return finding(
        "Connections",
        f"{allowed} allowed, two workers and their jobs may open {wanted}",
        fine=allowed >= wanted,
        advice="Raise max_connections, or lower UNDERCROFT_DATABASE__POOL_SIZE and _DATA__.",
    )
