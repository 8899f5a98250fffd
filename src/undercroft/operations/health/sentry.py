"""Tries out whether Sentry hears us."""

import asyncio
import sys
from typing import Any, Literal

from pydantic import BaseModel

from undercroft.foundation.problems import Conflict
from undercroft.foundation.settings import ObservabilitySettings

SentryTest = Literal["exception", "message", "unhandled", "async"]


class SentryTestError(RuntimeError):
    """Raised on purpose."""


class SentryTestReport(BaseModel):
    type: SentryTest
    event_id: str | None


class SentryNotConfigured(Conflict):
    title = "Sentry is not configured"
    detail = "Set SENTRY_DSN and install the extra `sentry`."


async def send_test(settings: ObservabilitySettings, kind: SentryTest) -> SentryTestReport:
    """Return the id under which it stands in Sentry; `unhandled` raises instead."""
    sdk: Any = sys.modules.get("sentry_sdk")
    if settings.sentry_dsn is None or sdk is None:
        raise SentryNotConfigured
    if kind == "unhandled":
        raise SentryTestError("A test, and nothing is wrong: unhandled.")
    if kind == "message":
        event_id = sdk.capture_message("A test, and nothing is wrong.")
    elif kind == "async":
        outcome = (await asyncio.gather(_fail(), return_exceptions=True))[0]
        event_id = sdk.capture_exception(outcome)
    else:
        event_id = sdk.capture_exception(SentryTestError("A test, and nothing is wrong."))
    return SentryTestReport(type=kind, event_id=event_id)


async def _fail() -> None:
    await asyncio.sleep(0)
    raise SentryTestError("A test, and nothing is wrong: async.")
