"""What is measured when somebody asks: queues, connections, locks, the log's seals.

These are states of the cluster and not of a process, so each scrape reads them from Postgres and no
worker keeps them.
"""

import asyncio
from collections.abc import Mapping

import structlog
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.apps import HealthProbe
from undercroft.foundation.http import Foundation
from undercroft.foundation.jobs import read_backlog
from undercroft.identity.statistics import count_locks
from undercroft.operations.activity import count_unsealed
from undercroft.operations.health.apps import ask_probes
from undercroft.operations.health.checks import LONGEST_CHECK_SECONDS, check_all

log = structlog.get_logger()

CONNECTIONS = text("""
    SELECT coalesce(nullif(application_name, ''), 'other') AS application,
           coalesce(state, 'other') AS state, count(*) AS connections
      FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1, 2
""")
LIMIT = text("SELECT setting::int FROM pg_settings WHERE name = 'max_connections'")
SIZE = text("SELECT pg_database_size(current_database())")


async def scrape(parts: Foundation, probes: Mapping[str, HealthProbe]) -> bytes:
    """In Prometheus' text format. While Postgres is away only `undercroft_up` is told."""
    registry = CollectorRegistry()
    up = Gauge("undercroft_up", "1 while this part answers.", ("part",), registry=registry)
    for name, check in (await check_all(parts)).items():
        up.labels(name).set(check.ok)
    for told in await ask_probes(parts, probes):
        up.labels(told.name).set(told.status == "ok")
    try:
        async with asyncio.timeout(LONGEST_CHECK_SECONDS):
            async with parts.database.unit_of_work() as session:
                await _read(session, registry)
    except Exception as error:  # noqa: BLE001 - whatever is wrong, `undercroft_up` tells
        log.warning("gauges_not_read", cause=str(error))
    return generate_latest(registry)


async def _read(session: AsyncSession, registry: CollectorRegistry) -> None:
    await _read_database(session, registry)
    await _read_jobs(session, registry)
    locks = _gauge("undercroft_sign_in_locks", "Identifiers in a pause.", registry)
    locks.set(await count_locks(session))
    waiting, oldest_seconds = await count_unsealed(session)
    _gauge("undercroft_activity_unsealed", "Entries without a seal.", registry).set(waiting)
    age = "Age of the oldest entry without a seal."
    _gauge("undercroft_activity_unsealed_oldest_seconds", age, registry).set(oldest_seconds)


async def _read_database(session: AsyncSession, registry: CollectorRegistry) -> None:
    connections = Gauge(
        "undercroft_database_connections",
        "Connections of this database by what they do.",
        ("application", "state"),
        registry=registry,
    )
    for row in await session.execute(CONNECTIONS):
        connections.labels(row.application, row.state).set(row.connections)
    most = _gauge("undercroft_database_connections_limit", "As many are accepted.", registry)
    most.set(await session.scalar(LIMIT) or 0)
    size = _gauge("undercroft_database_size_bytes", "On disk.", registry)
    size.set(await session.scalar(SIZE) or 0)


async def _read_jobs(session: AsyncSession, registry: CollectorRegistry) -> None:
    labels = ("job",)
    waiting = Gauge("undercroft_jobs_waiting", "Jobs that wait or run.", labels, registry=registry)
    dead = Gauge(
        "undercroft_jobs_dead", "Jobs that failed their last try.", labels, registry=registry
    )
    oldest = Gauge(
        "undercroft_job_oldest_waiting_seconds",
        "How long the oldest waiting job has been due.",
        labels,
        registry=registry,
    )
    for backlog in await read_backlog(session):
        waiting.labels(backlog.job).set(backlog.waiting)
        dead.labels(backlog.job).set(backlog.dead)
        oldest.labels(backlog.job).set(backlog.oldest_seconds)


def _gauge(name: str, sentence: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, sentence, registry=registry)
