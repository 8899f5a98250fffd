"""What is measured when somebody asks: queues, connections, locks, the log's seals.

These are states of the cluster and not of a process, so each scrape reads them from Postgres and no
worker keeps them.
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.apps import HealthProbe
from undercroft.foundation.http import Foundation
from undercroft.foundation.jobs import read_backlog, registry_of
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
    told = _Told()
    up = told.gauge("undercroft_up", "1 while this part answers.", "part")
    for name, check in (await check_all(parts)).items():
        up.add_metric([name], check.ok)
    for found in await ask_probes(parts, probes):
        up.add_metric([found.name], found.status == "ok")
    try:
        async with asyncio.timeout(LONGEST_CHECK_SECONDS):
            async with parts.database.unit_of_work() as session:
                await _read_database(session, told)
                await _read_jobs(session, told, registry_of(parts.database).jobs)
                await _read_log(session, told)
    except Exception as error:  # noqa: BLE001 - whatever is wrong, `undercroft_up` tells
        log.warning("gauges_not_read", cause=str(error))
    return told.exposition()


class _Told:
    """The answers of one scrape.

    Metric families and not `Gauge`s: where processes share files, a Gauge keeps its value there,
    and every later scrape of any process would repeat it.
    """

    def __init__(self) -> None:
        self._families: list[GaugeMetricFamily] = []

    def gauge(self, name: str, sentence: str, *labels: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, sentence, labels=labels)
        self._families.append(family)
        return family

    def value(self, name: str, sentence: str, value: float) -> None:
        self.gauge(name, sentence).add_metric([], value)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families

    def exposition(self) -> bytes:
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


async def _read_database(session: AsyncSession, told: _Told) -> None:
    connections = told.gauge(
        "undercroft_database_connections",
        "Connections of this database by what they do.",
        "application",
        "state",
    )
    for row in await session.execute(CONNECTIONS):
        connections.add_metric([row.application, row.state], row.connections)
    limit, size = await session.scalar(LIMIT) or 0, await session.scalar(SIZE) or 0
    told.value("undercroft_database_connections_limit", "As many are accepted.", limit)
    told.value("undercroft_database_size_bytes", "On disk.", size)


async def _read_jobs(session: AsyncSession, told: _Told, jobs: Iterable[str]) -> None:
    """Of every job, those that nothing waits for too: a gap in a graph says nothing."""
    waiting = told.gauge("undercroft_jobs_waiting", "Jobs that wait or run.", "job")
    dead = told.gauge("undercroft_jobs_dead", "Jobs that failed their last try.", "job")
    sentence = "How long the oldest waiting job has been due."
    oldest = told.gauge("undercroft_job_oldest_waiting_seconds", sentence, "job")
    found = {backlog.job: backlog for backlog in await read_backlog(session)}
    for name in sorted({*found, *jobs}):
        backlog = found.get(name)
        waiting.add_metric([name], backlog.waiting if backlog else 0)
        dead.add_metric([name], backlog.dead if backlog else 0)
        oldest.add_metric([name], backlog.oldest_seconds if backlog else 0)


async def _read_log(session: AsyncSession, told: _Told) -> None:
    locks = await count_locks(session)
    waiting, oldest_seconds = await count_unsealed(session)
    told.value("undercroft_sign_in_locks", "Identifiers in a pause.", locks)
    told.value("undercroft_activity_unsealed", "Entries without a seal.", waiting)
    sentence = "Age of the oldest entry without a seal."
    told.value("undercroft_activity_unsealed_oldest_seconds", sentence, oldest_seconds)
