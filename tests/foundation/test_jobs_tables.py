"""The queue's tables are those that the installed PgQueuer expects, where we say they are."""

import os
import subprocess
import sys

import asyncpg
from pgqueuer.adapters.persistence.schema_ddl import render_install
from pgqueuer.db import AsyncpgDriver

from tests.foundation.jobs_support import Queue
from undercroft.foundation.jobs import jobs_ddl
from undercroft.foundation.jobs.queries import JobQueries
from undercroft.foundation.jobs.tables import NAMES


def statements(sql: str) -> list[str]:
    return [line for line in sql.splitlines() if line and not line.startswith("-- pgqueuer ")]


async def test_what_our_migration_made_is_what_pgqueuer_would_make(queue: Queue):
    """When this fails after an upgrade, the statements it shows belong in a new migration."""
    connection = await asyncpg.connect(queue.url)
    plan = await JobQueries.over(AsyncpgDriver(connection)).plan_upgrade()
    await connection.close()
    assert plan.statements == ()
    assert plan.notes == ()


def test_the_first_migration_is_still_all_of_it():
    """Once a migration has followed, the test above is enough and this one goes."""
    assert statements(render_install(NAMES)) == statements(jobs_ddl())[1:-1]


def test_the_environment_cannot_move_the_queue():
    names = "from undercroft.foundation.jobs.tables import NAMES; print(repr(NAMES))"
    hostile = dict.fromkeys(
        [
            "CHANNEL",
            "TRIGGER",
            "FUNCTION",
            "QUEUE_TABLE",
            "PGQUEUER_SCHEMA",
            "PGQUEUER_PREFIX",
            "PGQUEUER_QUEUE_TABLE",
            "DURABILITY",
            "PGQUEUER_DURABILITY",
            "WIDEN_ID",
        ],
        "volatile",
    )
    printed = subprocess.run(
        [sys.executable, "-c", names],
        env=dict(os.environ) | hostile,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == repr(NAMES)
