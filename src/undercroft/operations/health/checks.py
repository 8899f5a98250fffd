"""What a node depends on, asked for real and within a time limit."""

import asyncio
import importlib.metadata
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from sqlalchemy import text

from undercroft.foundation.http import Foundation
from undercroft.foundation.http.dependencies import Probe

LONGEST_CHECK_SECONDS = 2.0
VERSION = importlib.metadata.version("undercroft")


@dataclass(frozen=True, slots=True)
class Check:
    """`milliseconds` is the time to an answer, None when there was none."""

    ok: bool
    milliseconds: float | None


ASK = text("SELECT true")


async def check_database(parts: Foundation) -> Check:
    async def ask() -> bool:
        return await parts.database.run_alone(ASK, {}) is not None

    return await _timed(ask())


async def check_cache(parts: Foundation) -> Check:
    return await _timed(parts.cache.ping())


async def check_probe(probe: Probe) -> Check:
    async def ask() -> bool:
        await probe()
        return True

    return await _timed(ask())


async def check_all(parts: Foundation) -> dict[str, Check]:
    """Every part by its name, asked at the same time."""
    asked = {"database": check_database(parts), "cache": check_cache(parts)}
    asked |= {name: check_probe(probe) for name, probe in parts.probes.items()}
    return dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))


async def _timed(answer: Awaitable[bool]) -> Check:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(LONGEST_CHECK_SECONDS):
            ok = await answer
    except Exception:  # noqa: BLE001 - whatever is wrong, the answer is "no"
        return Check(ok=False, milliseconds=None)
    return Check(ok=ok, milliseconds=round((time.perf_counter() - started) * 1000, 2))
