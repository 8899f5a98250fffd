"""The replication slot: made when a table is watched, dropped when none is or nobody reads it."""

from typing import Any

import asyncpg
import structlog

from undercroft.realtime.changes.cursor import Cursor
from undercroft.realtime.changes.log import HEAD
from undercroft.realtime.changes.stream import ReplicationConnection
from undercroft.realtime.changes.tables import PUBLICATIONS

log = structlog.get_logger()

# The database's own number: a cluster's slots share one namespace.
NAME = "SELECT 'undercroft_changes_' || oid FROM pg_database WHERE datname = current_database()"
ANY_WATCHED = """
    SELECT EXISTS (SELECT FROM pg_publication_tables WHERE pubname = ANY ($1::text[]))
"""
IS_USABLE = """
    SELECT coalesce(wal_status, '') <> 'lost' FROM pg_replication_slots
     WHERE slot_name = $1 AND database = current_database()
"""
DROP = """
    SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
     WHERE slot_name = $1 AND NOT active
"""
DROP_LAGGING = """
    SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
     WHERE slot_name = (SELECT 'undercroft_changes_' || oid FROM pg_database
                         WHERE datname = current_database())
       AND NOT active
       AND pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > :most_bytes
"""
LAG = """
    SELECT active, wal_status,
           pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint AS unread_bytes,
           pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS kept_bytes
      FROM pg_replication_slots
     WHERE slot_name = (SELECT 'undercroft_changes_' || oid FROM pg_database
                         WHERE datname = current_database())
"""
Connection = "asyncpg.Connection[Any]"


async def slot_name(connection: "asyncpg.Connection[Any]") -> str:
    return str(await connection.fetchval(NAME))


async def any_table_watched(connection: "asyncpg.Connection[Any]") -> bool:
    return bool(await connection.fetchval(ANY_WATCHED, list(PUBLICATIONS)))


async def drop_slot(connection: "asyncpg.Connection[Any]", name: str) -> None:
    await connection.execute(DROP, name)


async def ensure_slot(
    connection: "asyncpg.Connection[Any]", stream: ReplicationConnection, name: str
) -> Cursor:
    """Where reading goes on. A new slot begins a new epoch: what lies before it is unknown."""
    usable = await connection.fetchval(IS_USABLE, name)
    row = await connection.fetchrow(HEAD)
    if usable and row is not None:
        return Cursor(row["epoch"], row["lsn"], row["ordinal"])
    if usable is not None:
        await drop_slot(connection, name)
    await stream.run(f"CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput (SNAPSHOT 'nothing')")
    epoch = await connection.fetchval(
        "INSERT INTO realtime.sources (slot) VALUES ($1) RETURNING epoch", name
    )
    await connection.execute("SELECT pg_notify('undercroft_changes', '')")
    log.info("changes_slot_created", slot=name, epoch=epoch)
    return Cursor(epoch)
