"""Routes with doors: nobody declares one without saying who may call it.

A door does, in this order and before the body is read: count the call against its rate limit,
find out who calls, check the access rule. Then it opens the request's transaction, unless nothing
would use it, runs the handler, keeps the answer for a replay where an Idempotency-Key asks for it,
and commits.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from undercroft.foundation.access import ANONYMOUS, AccessRule, Actor, Public
from undercroft.foundation.addresses import home_of
from undercroft.foundation.context import current_request
from undercroft.foundation.http import idempotency
from undercroft.foundation.http.dependencies import Foundation, get_session
from undercroft.foundation.jobs import has_published, publish
from undercroft.foundation.problems import Problem, Unauthorized, UnsupportedMediaType

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Endpoint = Callable[..., Any]

PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}


@dataclass(frozen=True, slots=True)
class Guard:
    """What a route declared about its callers. It travels on the endpoint function.

    A route that `streams` its body sees to Idempotency-Keys itself, if it takes any: the body must
    be compared (`idempotency.run_streamed_once`).
    `unrecorded` is the reason why calling it leaves no entry in the activity log.
    """

    access: AccessRule
    rate: str | None = None
    streams: bool = False
    unrecorded: str | None = None


def guard_of(endpoint: Endpoint) -> Guard | None:
    """The guard that `Router` put on `endpoint`, None for a route made without one."""
    guard: Guard | None = getattr(endpoint, "__guard__", None)
    return guard


@dataclass(frozen=True, slots=True)
class RouteCalled:
    """A route that changes something was called; published where the domain published nothing."""

    operation: str
    module: str
    path: Mapping[str, Any]
    by: UUID | None


class Door(APIRoute):
    """A route that refuses before it reads."""

    @cached_property
    def _start(self) -> str:
        return self.path.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """One look: the framework asks every route in turn, which adds up."""
        return super().matches(scope) if self._start in scope["path"] else (Match.NONE, {})

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        guard = guard_of(self.endpoint)
        if guard is None:
            raise TypeError(f"{self.path} has no access rule; declare it through Router.")

        recorded_here = not guard.unrecorded and not WRITES.isdisjoint(self.methods or ())
        needs_session = recorded_here or _asks_for(get_session, self.dependant)

        async def enter(request: Request) -> Response:
            parts: Foundation = request.app.state.parts
            await self._check_caller(request, parts, guard)
            once = _wants_once(request, guard)
            if not once and not needs_session:
                return await recorded(request)
            async with parts.database.unit_of_work() as session:
                request.state.session = session
                if once:
                    return await idempotency.run_once(request, session, parts, recorded)
                return await recorded(request)

        async def recorded(request: Request) -> Response:
            response = await handle(request)
            if context := current_request():
                context.status = response.status_code
            if request.method in WRITES and not guard.unrecorded and response.status_code < 400:
                self._record(request)
            return response

        return enter

    async def _check_caller(self, request: Request, parts: Foundation, guard: Guard) -> None:
        """All that is asked before the body is read."""
        context = current_request()
        if context:
            context.route, context.success = self.path, self.status_code or 200
        if guard.rate:
            await parts.limiter.hit(guard.rate, home_of(client_address(request)))
        actor = request.state.actor = await _authenticate(request, parts, guard.access)
        if context:
            context.actor = actor
        guard.access.check(actor)
        if self.body_field and not isinstance(self.body_field.field_info, Form):
            _check_is_json(request)

    def _record(self, request: Request) -> None:
        """What changed something and published nothing is announced as what it was: a call."""
        session: AsyncSession = request.state.session
        if not has_published(session):
            call = RouteCalled(
                self.operation_id or self.name,
                self.endpoint.__module__,
                dict(request.path_params),
                by=request.state.actor.user_id,
            )
            publish(session, call)


async def _authenticate(request: Request, parts: Foundation, access: AccessRule) -> Actor:
    try:
        return await parts.authenticate(request)
    except Unauthorized:
        if isinstance(access, Public) and not access.about_caller:
            return ANONYMOUS
        raise


def _asks_for(dependency: Endpoint, dependant: Dependant) -> bool:
    asks = dependant.call is dependency
    return asks or any(_asks_for(dependency, below) for below in dependant.dependencies)


def _check_is_json(request: Request) -> None:
    """Raise `UnsupportedMediaType` for a body that is not called JSON, or not called anything."""
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise UnsupportedMediaType("application/json")


WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def client_address(request: Request) -> str:
    """The caller's address; trusted proxies have already been looked through."""
    return request.client.host if request.client else "unknown"


def _wants_once(request: Request, guard: Guard) -> bool:
    asked = idempotency.is_asked(request)
    return asked and request.method in WRITES and not guard.streams


class Router:
    """Routes that each name their access rule: declared by modules, built for an application."""

    def __init__(self, prefix: str = "", *, tag: str) -> None:
        self.prefix = prefix
        self._tags: list[str | Enum] = [tag]
        self._declared: list[tuple[str, Endpoint, dict[str, Any]]] = []
        self._built: dict[str, Sequence[BaseRoute]] = {}

    def routes(self, prefix: str = "") -> Sequence[BaseRoute]:
        """What was declared, below `prefix`.

        Built once: it takes a millisecond a route, and who is forked afterwards shares the memory.
        """
        if prefix not in self._built:
            api = APIRouter(prefix=prefix + self.prefix, tags=self._tags, route_class=Door)
            for path, endpoint, options in self._declared:
                api.add_api_route(path, endpoint, **options)
            self._built[prefix] = api.routes
        return self._built[prefix]

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.route("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.route("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.route("DELETE", path, **options)

    def route(
        self,
        method: str,
        path: str,
        *,
        access: AccessRule,
        rate: str | None = None,
        streams: bool = False,
        unrecorded: str | None = None,
        problems: Sequence[type[Problem]] = (),
        openapi: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare a route. `problems` are the refusals it documents beside the usual ones.

        `unrecorded` says why a call that changes nothing worth knowing leaves no activity entry.
        """
        extra = {"x-permission": described(access)} | dict(openapi or {})
        responses = _documented(access, rate, problems)

        def declare(endpoint: Endpoint) -> Endpoint:
            endpoint.__guard__ = Guard(access, rate, streams, unrecorded)  # type: ignore[attr-defined]
            named = {"operation_id": endpoint.__name__} | options
            named |= {"methods": [method], "openapi_extra": extra, "responses": responses}
            self._declared.append((path, endpoint, named))
            return endpoint

        return declare


def described(access: AccessRule) -> str:
    """The rule as the OpenAPI document shows it."""
    return f"public: {access.name}" if isinstance(access, Public) else access.name


def _documented(
    access: AccessRule, rate: str | None, problems: Sequence[type[Problem]]
) -> dict[int | str, dict[str, Any]]:
    by_status: dict[int | str, list[str]] = {422: ["The request is not valid"]}
    if not isinstance(access, Public):
        by_status[401] = ["No or bad credentials"]
        by_status[403] = ["Not allowed"]
    by_status[429] = [f"Too many requests ({rate or 'default'})"]
    by_status[503] = ["A part of the server does not answer"]
    for problem in problems:
        by_status.setdefault(problem.status, []).append(problem.title)
    content = {"application/problem+json": {"schema": PROBLEM_SCHEMA}}
    return {
        status: {"description": "; ".join(dict.fromkeys(titles)), "content": content}
        for status, titles in by_status.items()
    }
