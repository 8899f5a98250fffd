"""`/health`, `/health/live`, `/health/ready` and `/metrics`, for load balancers and collectors."""

import ipaddress
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from undercroft.foundation.access import Needs, Permission, Public
from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import same_secret
from undercroft.foundation.http import Foundation, Parts, Router, Session
from undercroft.foundation.http.metrics import exposition
from undercroft.foundation.http.router import client_address
from undercroft.foundation.problems import NotFound
from undercroft.operations.health.apps import ask_probes
from undercroft.operations.health.checks import (
    VERSION,
    Check,
    check_cache,
    check_database,
    check_probe,
)
from undercroft.operations.health.gauges import scrape
from undercroft.operations.health.sentry import (
    SentryNotConfigured,
    SentryTest,
    SentryTestReport,
    send_test,
)
from undercroft.operations.health.system import (
    DatabaseHealth,
    PartHealth,
    SystemHealth,
    describe_database,
    describe_system,
)

root = Router(tag="operations")
control = Router(tag="operations")

PERMISSIONS = (
    Permission("health:read", "See how the machine, the database and the storage are doing."),
    Permission("health:test", "Send a test to Sentry."),
)
READ = Needs("health:read")
NO_STORE = {"Cache-Control": "no-store"}
DOWN = {503: {"description": "The database does not answer"}}
for_probes = Public("load balancers have no account")


async def _health(parts: Parts) -> JSONResponse:
    database, cache = await check_database(parts), await check_cache(parts)
    body = {
        "status": _status(database, cache),
        "version": VERSION,
        "environment": parts.settings.environment.value,
        "database": _describe(database),
        "cache": _describe(cache),
        "time": utc_now().isoformat(),
    }
    return JSONResponse(body, 200 if database.ok else 503, NO_STORE)


root.get("/health", access=for_probes, operation_id="get_health", summary="Health")(_health)
control.get("/health", access=for_probes, operation_id="get_control_health", summary="Health")(
    _health
)


@root.get("/health/live", access=for_probes)
async def get_liveness() -> JSONResponse:
    """200 as long as the process answers at all: restart it when this fails."""
    return JSONResponse({"status": "alive"}, headers=NO_STORE)


@root.get("/health/ready", access=for_probes)
async def get_readiness(parts: Parts) -> JSONResponse:
    """200 while this node can serve: 503 during shutdown and without the database.

    Without the cache a node still serves, slower and with its own rate limits; taking every node
    out of rotation for it would turn a slow hour into an outage.
    """
    if parts.stopping:
        return JSONResponse({"status": "stopping"}, 503, NO_STORE)
    database, cache = await check_database(parts), await check_cache(parts)
    status = _status(database, cache)
    return JSONResponse({"status": status}, 200 if database.ok else 503, NO_STORE)


@root.get(
    "/metrics",
    access=Public("loopback, or the bearer token of the settings"),
    response_class=PlainTextResponse,
    problems=(NotFound,),
)
async def get_metrics(request: Request, parts: Parts) -> Response:
    """Metrics in Prometheus' text format."""
    if not parts.settings.observability.metrics or not _may_scrape(request, parts):
        raise NotFound
    content, media_type = exposition()
    gauges = await scrape(parts, request.app.state.app_probes)
    return Response(content + gauges, media_type=media_type)


@control.get("/health/system", access=READ)
async def get_system_health(request: Request, parts: Parts) -> SystemHealth:
    """The machine and the process that answered, and how apps say they are."""
    return describe_system(parts.settings, await ask_probes(parts, request.app.state.app_probes))


@control.get("/health/database", access=READ, response_model=DatabaseHealth)
async def get_database_health(session: Session, parts: Parts) -> JSONResponse:
    """Whether Postgres answers and how fast, its size and connections; 503 when it does not."""
    check = await check_database(parts)
    found = await describe_database(session, parts, check)
    return _answer(check, found.model_dump(mode="json"))


@control.get("/health/storage", access=READ, response_model=PartHealth)
async def get_storage_health(parts: Parts) -> JSONResponse:
    """Whether files can be written, read and deleted; 503 when they cannot."""
    probe = parts.probes.get("storage")
    check = await check_probe(probe) if probe else Check(ok=False, milliseconds=None)
    return _answer(check, _describe(check))


@control.get("/health/test-sentry", access=Needs("health:test"), problems=(SentryNotConfigured,))
async def try_sentry(
    parts: Parts,
    kind: Annotated[SentryTest, Query(alias="type")] = "exception",
) -> SentryTestReport:
    """Send something to Sentry: `exception`, `message`, `async`, or `unhandled`, which is a 500."""
    return await send_test(parts.settings.observability, kind)


def _answer(check: Check, body: dict[str, Any]) -> JSONResponse:
    return JSONResponse(body, 200 if check.ok else 503, NO_STORE)


def _may_scrape(request: Request, parts: Foundation) -> bool:
    token = parts.settings.observability.metrics_token
    if token:
        given = request.headers.get("authorization", "")
        return same_secret(given, f"Bearer {token.get_secret_value()}")
    try:
        return ipaddress.ip_address(client_address(request)).is_loopback
    except ValueError:
        return False


def _status(database: Check, cache: Check) -> str:
    if not database.ok:
        return "down"
    return "ok" if cache.ok else "degraded"


def _describe(check: Check) -> dict[str, Any]:
    return {"status": "ok" if check.ok else "down", "milliseconds": check.milliseconds}
