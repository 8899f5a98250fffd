"""The composition root: the only file that knows every wing.

`create_app(settings)` is a plain ASGI factory, for `undercroft serve` and any other ASGI server.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from sqlalchemy.orm import configure_mappers
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from undercroft import storage
from undercroft.data.developer import Developer
from undercroft.data.parts import Data
from undercroft.data.plane import PREFIX as ROWS_PREFIX
from undercroft.data.plane import RowsPlane
from undercroft.foundation import languages
from undercroft.foundation.access import Actor, Permission
from undercroft.foundation.apps import App, AppSettings, find_apps
from undercroft.foundation.cache import Cache, CachedReads, RateLimiter
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db import Database, Listener
from undercroft.foundation.http import Foundation
from undercroft.foundation.http.default_limit import DefaultLimit
from undercroft.foundation.http.envelope import Envelope
from undercroft.foundation.http.head import HeadAsGet
from undercroft.foundation.http.metrics import write_down
from undercroft.foundation.http.openapi import describe_api
from undercroft.foundation.http.planes import Planes
from undercroft.foundation.http.rendering import add_problem_handlers
from undercroft.foundation.http.screening import Screen
from undercroft.foundation.http.shortcut import Reply, Shortcut, Underway
from undercroft.foundation.jobs import Workplace, outbox
from undercroft.foundation.logging import configure_logging
from undercroft.foundation.outbound import Outbound
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings, load_settings
from undercroft.foundation.telemetry import configure_telemetry
from undercroft.identity.auth.credentials import read_credentials
from undercroft.identity.auth.hashing import HashQueue
from undercroft.identity.bootstrap import FirstSuperuser
from undercroft.identity.bootstrap import bootstrap as bootstrap_identity
from undercroft.identity.parts import Identity, build_identity
from undercroft.operations import activity, dashboard
from undercroft.operations.health.checks import VERSION
from undercroft.realtime.changes.reader import ChangeReader
from undercroft.realtime.live_tables import probing as probing_changes
from undercroft.realtime.sockets.plane import PREFIX as REALTIME_PREFIX
from undercroft.realtime.sockets.plane import WEBSOCKET as REALTIME_SOCKET
from undercroft.realtime.sockets.plane import RealtimePlane
from undercroft.storage.plane import PREFIX as FILES_PREFIX
from undercroft.storage.plane import StoragePlane
from undercroft.webhooks.feed import ChangeFeed
from undercroft.webhooks.pump import Sender
from undercroft.wings import (
    CONTROL,
    PERMISSIONS,
    ROOT,
    catalogue_of,
    create_registry,
    permissions_of,
    personal_of,
)

DESCRIPTION = "The backend under an application. Errors are RFC 9457 problems."
EXPOSED_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Location",
    "Content-Range",
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Retry-After",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-Request-Id",
)


@dataclass(frozen=True, slots=True)
class Application:
    """An ASGI application; `parts` lets the process that runs it announce its end."""

    asgi: ASGIApp
    parts: Foundation
    control: FastAPI
    permissions: tuple[Permission, ...] = PERMISSIONS
    shortcut: Shortcut | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.asgi(scope, receive, send)


def create_app(
    settings: Settings | None = None, *, hashing: HashQueue | None = None
) -> Application:
    """Build everything one process serves; connections open at start-up.

    `hashing` leads to a process that hashes passwords; without one, threads of this process do.
    """
    settings = settings or load_settings()
    configure_logging(settings.observability)
    end_telemetry = configure_telemetry(settings, release=VERSION)
    apps = find_apps(settings)
    parts, identity = build_parts(settings, hashing)
    rows = RowsPlane(settings, parts.database, identity.gate, parts.listener, parts.keyring)
    files = storage.Files(settings, parts.database)
    parts.probes["storage"] = files.check
    realtime = RealtimePlane(
        settings,
        identity.gate,
        parts.database,
        parts.cache,
        parts.listener,
    )
    control = _control_plane(settings, parts, identity, rows, files, realtime)
    control.routes.extend(build_routes(settings))
    _join(control, apps, settings)
    refusals = activity.Refusals(parts.database)
    control.state.refusals = refusals
    control.state.statistics = dashboard.Statistics(parts.cached_reads)
    control.state.end_telemetry = end_telemetry
    plane = StoragePlane(settings, files, identity.gate, parts)
    hot = {
        ROWS_PREFIX: _rows_enveloped(rows, settings, parts, refusals),
        FILES_PREFIX: _files_enveloped(plane, settings, parts, refusals),
        REALTIME_PREFIX: _realtime_enveloped(realtime, settings, parts, refusals),
    }
    planes = Planes(_enveloped(control, settings), hot, {REALTIME_SOCKET: realtime})
    return Application(
        _outer(planes, settings),
        parts,
        control,
        permissions_of(apps),
        _shortcut(planes, settings),
    )


@asynccontextmanager
async def open_workplace(settings: Settings) -> AsyncIterator[Workplace]:
    """What a job worker works with."""
    configure_logging(settings.observability)
    end_telemetry = configure_telemetry(settings, release=VERSION)
    parts, identity = build_parts(settings)
    apps = find_apps(settings)
    residents = (
        (
            ChangeReader(parts.database, parts.cache).run,
            ChangeFeed(parts.database, parts.listener, settings.webhooks).run,
        )
        if settings.realtime.enabled
        else ()
    )
    await parts.listener.start()
    files = storage.Files(settings, parts.database)
    outbound = Outbound(settings.outbound)
    services = {
        "identity": identity,
        "post": identity.post,
        "files": files,
        "outbound": outbound,
        "webhooks": Sender(settings.webhooks, parts.keyring, outbound),
        "parts": parts,
        "app_settings": AppSettings(apps),
    }
    try:
        registry = create_registry(apps)
        yield Workplace(registry, parts.database.unit_of_work, services, residents)
    finally:
        await parts.listener.stop()
        await files.close()
        await outbound.aclose()
        identity.passwords.close()
        await parts.database.dispose()
        await parts.cache.close()
        end_telemetry()


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[tuple[Foundation, Identity]]:
    """The parts of a process that serves nobody: a command."""
    parts, identity = build_parts(settings)
    try:
        yield parts, identity
    finally:
        identity.passwords.close()
        await parts.database.dispose()
        await parts.cache.close()


def bootstrap(settings: Settings, *, embedded: bool) -> FirstSuperuser | None:
    """Give a migrated database its keys and groups; on an embedded home a superuser too.

    Elsewhere a superuser is made only when `FIRST_SUPERUSER_EMAIL` names one.
    """
    return asyncio.run(_bootstrap(settings, embedded=embedded))


async def _bootstrap(settings: Settings, *, embedded: bool) -> FirstSuperuser | None:
    wanted = settings.auth.first_superuser_email is not None
    permissions = permissions_of(find_apps(settings))
    async with open_parts(settings) as (_, identity):
        return await bootstrap_identity(identity, permissions, make_superuser=wanted or embedded)


def build_parts(
    settings: Settings, hashing: HashQueue | None = None
) -> tuple[Foundation, Identity]:
    if settings.secret_key is None:
        raise SettingsInvalid("SECRET_KEY is not set. `undercroft serve` makes one in its home.")
    keyring = Keyring(settings.secret_key.get_secret_value())
    listener = Listener(settings.database)
    cache = Cache(settings.cache)
    reads = CachedReads(cache, listener)
    apps = find_apps(settings)
    registry = create_registry(apps, hears=dashboard.forgetting(reads))
    database = Database(settings.database, outbox(registry))
    personal = personal_of(apps)
    identity = build_identity(settings, database, keyring, listener, personal, hashing)

    async def authenticate(request: Request) -> Actor:
        return await identity.gate.admit(read_credentials(request.headers))

    limiter = RateLimiter(settings.rate_limits, cache)
    parts = Foundation(settings, keyring, database, listener, cache, reads, limiter, authenticate)
    return parts, identity


def _control_plane(
    settings: Settings,
    parts: Foundation,
    identity: Identity,
    rows: RowsPlane,
    files: storage.Files,
    realtime: RealtimePlane,
) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(app.state.end_telemetry)
            stack.callback(write_down)
            stack.callback(app.state.studio.close)
            stack.push_async_callback(parts.cache.close)
            stack.push_async_callback(parts.limiter.close)
            stack.push_async_callback(parts.database.dispose)
            stack.callback(identity.passwords.close)
            stack.push_async_callback(files.close)
            app.state.refusals.start()
            stack.push_async_callback(app.state.refusals.stop)
            stack.push_async_callback(parts.listener.stop)
            stack.push_async_callback(rows.stop)
            stack.push_async_callback(realtime.stop)
            await parts.listener.start()
            await rows.start()
            realtime.start()
            yield
            parts.stopping = True

    app = FastAPI(
        title="Undercroft",
        version=VERSION,
        description=DESCRIPTION,
        openapi_url=f"{settings.prefix}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        # Asking OpenTelemetry whether anybody listens costs every request.
        telemetry={
            "tracing": settings.observability.otlp_endpoint is not None,
            "metrics": False,
            "logs": False,
        },
    )
    app.state.parts = parts
    app.state.identity = identity
    app.state.files = files
    app.state.data = Data(
        rows=rows,
        developer=Developer(settings, parts.database),
        scripts=asyncio.Semaphore(settings.sql.concurrency),
    )
    app.state.studio = storage.media.Studio(settings.uploads)
    add_problem_handlers(app)
    app.openapi = lambda: describe_api(app)  # type: ignore[method-assign]
    return app


def _join(control: FastAPI, apps: Sequence[App], settings: Settings) -> None:
    """What apps add beside their routes."""
    control.state.app_settings = AppSettings(apps)
    control.state.webhook_catalogue = catalogue_of(apps)
    control.state.app_probes = {"changes": probing_changes(settings.realtime)} | {
        f"{app.name}.{name}": probe for app in apps for name, probe in app.health.items()
    }
    for app in apps:
        if app.locales:
            languages.learn(app.locales)


def build_shared(settings: Settings) -> None:
    """Make what is the same in every process and never changes, for all that are forked later."""
    build_routes(settings)
    catalogue_of(find_apps(settings))
    configure_mappers()
    if settings.auth.providers:
        import_module("authlib.integrations.httpx_client")


def build_routes(settings: Settings) -> list[BaseRoute]:
    """Every route of the control plane.

    The apps' lie behind the platform's, and one that takes a path from it is refused.
    """
    found = [route for router in CONTROL for route in router.routes(settings.prefix)]
    taken = set(_paths(found))
    found += (route for router in ROOT for route in router.routes())
    for app in find_apps(settings):
        for router in app.routers:
            routes = router.routes(settings.prefix)
            if twice := next((entry for entry in _paths(routes) if entry in taken), None):
                path = twice[1].removeprefix(settings.prefix)
                raise SettingsInvalid(
                    f"UNDERCROFT_APPS: '{app.name}' declares {twice[0]} {path}, which exists."
                )
            taken.update(_paths(routes))
            found += routes
    return found


def _paths(routes: Sequence[BaseRoute]) -> list[tuple[str, str]]:
    """Method and path of each route; the names of parameters make no difference."""
    return [
        (method, re.sub(r"{[^}]*}", "{}", route.path))
        for route in routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


def _enveloped(control: FastAPI, settings: Settings) -> ASGIApp:
    limited: ASGIApp = DefaultLimit(
        HeadAsGet(control), control.state.parts.limiter, exempt=("/health", "/metrics")
    )
    if settings.http.screening != "off":
        limited = Screen(
            limited,
            settings.http.screening,
            prefix=settings.prefix,
            on_finding=control.state.refusals.suspect,
        )
    return Envelope(
        limited,
        settings,
        plane="control",
        max_body_bytes=int(settings.http.max_body_bytes),
        larger_bodies={
            "/import": int(settings.http.max_import_bytes),
            "/upload/media": int(settings.uploads.max_bytes) + storage.media.FORM_BYTES,
            "/settings/profile-picture": int(settings.uploads.picture_max_bytes)
            + storage.media.FORM_BYTES,
        },
        access_log=settings.observability.access_log,
        on_refusal=control.state.refusals.note,
    )


def _rows_enveloped(
    rows: RowsPlane, settings: Settings, parts: Foundation, refusals: activity.Refusals
) -> ASGIApp:
    limited = DefaultLimit(rows, parts.limiter, line="rows") if settings.rate_limits.rows else rows
    return Envelope(
        limited,
        settings,
        plane="rows",
        max_body_bytes=int(settings.http.max_rows_body_bytes),
        on_refusal=refusals.note,
    )


def _realtime_enveloped(
    realtime: RealtimePlane, settings: Settings, parts: Foundation, refusals: activity.Refusals
) -> ASGIApp:
    return Envelope(
        DefaultLimit(realtime, parts.limiter, line="broadcasts"),
        settings,
        plane="realtime",
        max_body_bytes=int(settings.realtime.max_message_size),
        on_refusal=refusals.note,
    )


def _files_enveloped(
    plane: StoragePlane, settings: Settings, parts: Foundation, refusals: activity.Refusals
) -> ASGIApp:
    limits = settings.rate_limits
    limited = DefaultLimit(plane, parts.limiter, line="storage") if limits.storage else plane
    # Buckets set the limit, which the plane counts while it reads.
    return Envelope(
        limited,
        settings,
        plane="storage",
        max_body_bytes=sys.maxsize,
        on_refusal=refusals.note,
    )


def _shortcut(planes: Planes, settings: Settings) -> Shortcut:
    """Past the layers around the planes, unless a browser's origin is theirs to judge."""
    if not settings.http.cors_origins:
        return planes.shortcut

    def without_origin(scope: Scope, reply: Reply) -> Underway | None:
        if any(name == b"origin" for name, _ in scope["headers"]):
            return None
        return planes.shortcut(scope, reply)

    return without_origin


def _outer(app: ASGIApp, settings: Settings) -> ASGIApp:
    """What lies around every plane: origins of browsers, addresses behind proxies."""
    if origins := settings.http.cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_credentials="*" not in origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
            max_age=600,
        )
    if proxies := settings.http.trusted_proxies:
        app = ProxyHeadersMiddleware(app, trusted_hosts=list(proxies))  # type: ignore[arg-type, assignment]
    return app
