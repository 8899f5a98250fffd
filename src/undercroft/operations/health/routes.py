"""`/health`, `/health/live`, `/health/ready` and `/metrics`, for load balancers and collectors."""

import ipaddress
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from undercroft.foundation.access import Public
from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import same_secret
from undercroft.foundation.http import Foundation, Parts, Router
from undercroft.foundation.http.metrics import exposition
from undercroft.foundation.http.router import client_address
from undercroft.foundation.problems import NotFound
from undercroft.operations.health.checks import VERSION, Check, check_cache, check_database

root = Router(tag="operations")
control = Router(tag="operations")

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
    return Response(content, media_type=media_type)


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
