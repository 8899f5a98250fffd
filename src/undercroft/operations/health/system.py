"""What a node runs on, and how its database is doing."""

import os
import platform
from datetime import datetime
from typing import Any

import psutil
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.http import Foundation
from undercroft.foundation.settings import Settings
from undercroft.operations.health.checks import VERSION, Check


class SystemInfo(BaseModel):
    platform: str
    python_version: str
    cpu_count: int
    load_average: list[float] = Field(description="Over 1, 5 and 15 minutes.")
    memory_total: int = Field(description="Bytes.")
    memory_available: int
    memory_percent: float
    disk_total: int = Field(description="Of the file system that holds the home.")
    disk_free: int
    disk_percent: float
    process_id: int
    process_memory: int
    process_started_at: datetime


class EnvironmentInfo(BaseModel):
    version: str
    environment: str
    mode: str
    log_level: str


class ProbeHealth(BaseModel):
    """What a probe of an app found, in its own words; `down` when it raised or took too long."""

    name: str = Field(examples=["catalog.search"])
    status: str
    found: str | None
    milliseconds: float | None


class SystemHealth(BaseModel):
    system_info: SystemInfo
    apps: list[ProbeHealth] = Field(
        description="`changes`, the reading of table changes, and the probes of apps."
    )
    environment: EnvironmentInfo
    timestamp: datetime


class DatabaseHealth(BaseModel):
    """`connections` of this database, of all applications."""

    status: str
    milliseconds: float | None
    server_version: str | None = None
    size_bytes: int | None = None
    connections: int | None = None
    max_connections: int | None = None
    pool: dict[str, int] = Field(description="Of the worker that answered.")


class PartHealth(BaseModel):
    status: str
    milliseconds: float | None


DATABASE = text("""
    SELECT current_setting('server_version') AS server_version,
           pg_database_size(current_database()) AS size_bytes,
           (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())
               AS connections,
           current_setting('max_connections')::int AS max_connections
""")


def describe_system(settings: Settings, apps: list[ProbeHealth]) -> SystemHealth:
    """Asks the operating system; returns at once."""
    memory, process = psutil.virtual_memory(), psutil.Process()
    home = settings.home if settings.home.exists() else "."
    disk = psutil.disk_usage(str(home))
    return SystemHealth(
        system_info=SystemInfo(
            platform=platform.platform(),
            python_version=platform.python_version(),
            cpu_count=os.cpu_count() or 1,
            load_average=[round(load, 2) for load in os.getloadavg()],
            memory_total=memory.total,
            memory_available=memory.available,
            memory_percent=memory.percent,
            disk_total=disk.total,
            disk_free=disk.free,
            disk_percent=disk.percent,
            process_id=process.pid,
            process_memory=process.memory_info().rss,
            process_started_at=datetime.fromtimestamp(process.create_time(), utc_now().tzinfo),
        ),
        environment=EnvironmentInfo(
            version=VERSION,
            environment=settings.environment.value,
            mode=settings.mode,
            log_level=settings.observability.log_level,
        ),
        apps=apps,
        timestamp=utc_now(),
    )


async def describe_database(
    session: AsyncSession, parts: Foundation, check: Check
) -> DatabaseHealth:
    found: dict[str, Any] = {}
    if check.ok:
        found = dict((await session.execute(DATABASE)).one()._mapping)  # noqa: SLF001
    pool: Any = parts.database.engine.pool
    return DatabaseHealth(
        status=status_of(check),
        milliseconds=check.milliseconds,
        pool={
            "size": pool.size(),
            "in_use": pool.checkedout(),
            "overflow": max(0, pool.overflow()),
        },
        **found,
    )


def status_of(check: Check) -> str:
    return "ok" if check.ok else "down"
