"""What apps say of themselves: each probe in a transaction of its own, within a time limit."""

import asyncio
from collections.abc import Mapping

import structlog

from undercroft.foundation.apps import HealthProbe
from undercroft.foundation.http import Foundation
from undercroft.operations.health.checks import check_probe
from undercroft.operations.health.system import ProbeHealth, status_of

log = structlog.get_logger()

# A probe holds a connection; the pool is there for callers.
AT_ONCE = 2


async def ask_probes(parts: Foundation, probes: Mapping[str, HealthProbe]) -> list[ProbeHealth]:
    """In the order of their names."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str) -> ProbeHealth:
        async with turns:
            return await _ask(parts, name, probes[name])

    return list(await asyncio.gather(*(ask(name) for name in sorted(probes))))


async def _ask(parts: Foundation, name: str, probe: HealthProbe) -> ProbeHealth:
    found: str | None = None

    async def listen() -> None:
        nonlocal found
        try:
            async with parts.database.unit_of_work() as session:
                found = await probe(session)
        except Exception:
            log.warning("health_probe_failed", probe=name, exc_info=True)
            raise

    check = await check_probe(listen)
    return ProbeHealth(
        name=name,
        status=status_of(check),
        found=found if check.ok else None,
        milliseconds=check.milliseconds,
    )
