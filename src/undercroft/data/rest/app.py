"""The rows API as a plain ASGI application, independent of who signs people in.

`authenticate` turns the headers of a request into a `Caller`; everything after that happens as
the caller's database role.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

import orjson

from undercroft.data.rest import media
from undercroft.data.rest.answers import KEY_HEADER, AnswerStore
from undercroft.data.rest.batch.batch import PATH as BATCH
from undercroft.data.rest.batch.batch import Batch
from undercroft.data.rest.config import OpenApiMode, RestConfig
from undercroft.data.rest.cors import cors_headers, preflight
from undercroft.data.rest.errors import (
    Headers,
    RestError,
    schema_cache_missing,
    unacceptable_media_types,
)
from undercroft.data.rest.execute import Executor, Job, RowCountError
from undercroft.data.rest.familiar import Values
from undercroft.data.rest.media import parse_accept
from undercroft.data.rest.openapi import describe, visibility_query
from undercroft.data.rest.options import allow
from undercroft.data.rest.pool import Session
from undercroft.data.rest.quick import Quick, Recognise, outcome
from undercroft.data.rest.recipes import Caller, job_of, row_count_refused
from undercroft.data.rest.refusals import explain
from undercroft.data.rest.request import (
    SENDS_BODY,
    WRITES,
    ClientDisconnectedError,
    HttpRequest,
    Receive,
    Resource,
    Scope,
    Send,
    find_resource,
    has_body,
    read_body,
    read_http,
)
from undercroft.data.rest.response import Response, overridden, respond
from undercroft.data.rest.timing import NOT_TIMED, Stopwatch
from undercroft.data.rest.understanding import Understanding
from undercroft.data.rest.understood import VARY, Understood
from undercroft.data.rest.watch import Watches
from undercroft.data.schema.cache import SchemaCache, SchemaCacheNotLoadedError
from undercroft.foundation.http.shortcut import Reply, Underway

Authenticate = Callable[[Mapping[str, str]], Awaitable[Caller]]
# Waits for schema changes that are committed but not yet seen.
CatchUp = Callable[[], Awaitable[None]]
# Hears of every answer with at least that status.
Hear = Callable[[Scope, HttpRequest, Response], None]
Answered = TypeVar("Answered")
_NO_STATUS = 1000
_SUCCESSES = 299
# Unknown relationship, function, column, table: what a schema change just made would be here.
UNKNOWN_NAMES = frozenset({"PGRST200", "PGRST202", "PGRST204", "PGRST205", "42703"})


class RestApp:
    """Serves the schemas of the config to whoever `authenticate` lets in."""

    def __init__(
        self,
        executor: Executor,
        schema_cache: SchemaCache,
        authenticate: Authenticate,
        config: RestConfig,
        *,
        recognise: Recognise | None = None,
        catch_up: CatchUp | None = None,
        batch: Batch | None = None,
        answers: AnswerStore | None = None,
        hear: tuple[int, Hear] | None = None,
    ) -> None:
        self._executor = executor
        self._schema_cache = schema_cache
        self._authenticate = authenticate
        self._config = config
        self._heard_from, self._hear = hear or (_NO_STATUS, _ignore)
        self._quick: Quick | None = None
        plain = not config.server_timing and config.server_trace_header is None
        if recognise and executor.shares and plain and self._heard_from > _SUCCESSES:
            self._quick = Quick(executor, self._understanding, recognise, config)
        self._catch_up = catch_up
        self._batch = batch
        self._answers = answers
        self._watches = Watches()
        self._understood: Understanding | None = None
        self._generation = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = read_http(scope, self._config.prefix, self._config.secret_headers)
        try:
            response = outcome(scope) or await self._respond(request, receive)
        except RestError as error:
            body = error.body(verbose=self._config.verbose_errors)
            response = Response(error.status, error.response_headers(), body, error.reason)
        except ClientDisconnectedError:
            return
        self._add_common_headers(request, response.headers)
        await _send(send, request, response)
        if response.status >= self._heard_from:
            self._hear(scope, request, response)

    def shortcut(self, scope: Scope, reply: Reply) -> Underway | None:
        """See `foundation.http.shortcut`."""
        return self._quick.begin(scope, reply) if self._quick else None

    async def _respond(self, request: HttpRequest, receive: Receive) -> Response:
        config = self._config
        if config.cors_allowed_origins is not None:
            response = preflight(request, config.cors_allowed_origins)
            if response is not None:
                return response
        watch = Stopwatch() if config.server_timing else NOT_TIMED
        try:
            caller = await self._authenticate(request.headers)
            request.role = caller.role
            watch.lap("jwt")
            response = await self._answer(request, receive, caller, watch)
        except RestError as error:
            error.headers += watch.stopped()
            raise
        if config.server_timing:
            watch.lap("response")
            response.headers.append(watch.header())
        return response

    async def _answer(
        self, request: HttpRequest, receive: Receive, caller: Caller, watch: Stopwatch
    ) -> Response:
        known = None
        try:
            if request.method not in SENDS_BODY:
                known = self._understanding().recall(request, caller.role, None)
            if known is None:
                return await self._answer_anew(request, receive, caller, watch)
            watch.lap("parse")
            return await self._carry_out(*known, request, receive, caller, watch)
        except RestError as error:
            if self._config.explains_refusals:
                explain(error, caller.role)
            raise

    async def _answer_anew(
        self, request: HttpRequest, receive: Receive, caller: Caller, watch: Stopwatch
    ) -> Response:
        if self._batch and request.path == BATCH and request.method == "POST":
            return await self._answer_batch(self._batch, request, receive, caller)
        resource = self._find_resource(request)
        understanding = self._understanding()
        schema = understanding.schema(request.profile)
        if resource.action == "inspect":
            response = allow(understanding.compiler, request, resource, schema)
            watch.lap("parse")
            return response
        if resource.action == "describe":
            return await self._describe(request, caller, schema, watch)
        body = None
        if has_body(resource.action, request.method):
            body = await read_body(receive, self._config.max_body_bytes)
        understood = await self._understand(request, resource, schema, body, caller, watch)
        return await self._carry_out(*understood, request, receive, caller, watch, body)

    async def _understand(
        self,
        request: HttpRequest,
        resource: Resource,
        schema: str,
        body: bytes | None,
        caller: Caller,
        watch: Stopwatch,
    ) -> tuple[Understood, Values]:
        on_table = resource.kind == "table"
        role = caller.role
        if on_table and body is not None:
            known = self._understanding().recall(request, role, body)
            if known is not None:
                watch.lap("parse")
                return known
        asked = (request, resource, schema, body, role, watch)
        understanding = self._understanding()
        try:
            understood = understanding.understand(*asked)
        except RestError as error:
            if not await self._may_be_behind(error, understanding):
                raise
            understood = self._understanding().understand(*asked)
        if on_table:
            self._understanding().remember(request, role, body, *understood)
        return understood

    async def _carry_out(
        self,
        understood: Understood,
        values: Values,
        request: HttpRequest,
        receive: Receive,
        caller: Caller,
        watch: Stopwatch,
        body: bytes | None = None,
    ) -> Response:
        job = job_of(understood.recipe, values, request, caller)
        request.sql = understood.recipe.statement.sql
        watch.lap("plan")
        anonymous = caller.role == self._config.anon_role
        try:
            if KEY_HEADER in request.headers and self._answers and request.method in WRITES:
                once = self._carry_out_once(self._answers, understood, job, request, body)
                return await self._watched(once, receive)
            result = await self._watched(self._executor.run(job, anonymous=anonymous), receive)
        except RowCountError as error:
            raise row_count_refused(understood.intent, understood.compiled, error.rows) from error
        watch.lap("transaction")
        return respond(understood, result, request.query)

    async def _carry_out_once(
        self,
        answers: AnswerStore,
        understood: Understood,
        job: Job,
        request: HttpRequest,
        body: bytes | None,
    ) -> Response:
        """Carry it out unless it was answered before, and keep the answer in its transaction."""
        key = answers.key_of(request, body)
        assert key

        async def attempt(session: Session) -> Response:
            # What may only read does so in a part of the transaction, which then writes the answer.
            if job.recipe.read_only:
                session.pipeline.query("savepoint reading")
            result = await self._executor.attempt(session, job)
            if job.recipe.read_only:
                session.pipeline.query("release savepoint reading")
            return respond(understood, result, request.query)

        def once(session: Session) -> Awaitable[Response]:
            return answers.once(session, key, partial(attempt, session))

        anonymous = job.recipe.role == self._config.anon_role
        return await self._executor.run_with(job.recipe, once, anonymous=anonymous)

    async def answer(self, request: HttpRequest, receive: Receive, caller: Caller) -> Response:
        """Answer a request of a caller who is known already. Raises RestError."""
        return await self._answer(request, receive, caller, NOT_TIMED)

    async def _answer_batch(
        self, batch: Batch, request: HttpRequest, receive: Receive, caller: Caller
    ) -> Response:
        body = await read_body(receive, self._config.max_body_bytes)
        understanding = self._understanding()
        run = batch.answer(request, caller, body, understanding)
        try:
            return await self._watched(run, receive)
        except RestError as error:
            if not await self._may_be_behind(error, understanding):
                raise
        run = batch.answer(request, caller, body, self._understanding())
        return await self._watched(run, receive)

    async def _may_be_behind(self, error: RestError, understanding: Understanding) -> bool:
        """Tell whether what was not found may be there by now: the schema has changed since.

        A catalogue that came while `understanding` was in use may be behind as well.
        """
        if error.code not in UNKNOWN_NAMES or self._catch_up is None:
            return False
        await self._catch_up()
        return self._understanding() is not understanding

    def _find_resource(self, request: HttpRequest) -> Resource:
        root = self._config.openapi_mode is not OpenApiMode.DISABLED
        return find_resource(request, root_enabled=root, root_spec=self._config.root_spec)

    def _understanding(self) -> Understanding:
        """Keep what is understood until the catalogue is read again."""
        if self._understood is None or self._generation != self._schema_cache.generation:
            try:
                catalog = self._schema_cache.current
            except SchemaCacheNotLoadedError as error:
                raise schema_cache_missing() from error
            self._generation = self._schema_cache.generation
            self._understood = Understanding(catalog, self._config)
        return self._understood

    async def _watched(self, work: Awaitable[Answered], receive: Receive) -> Answered:
        """Await `work`, which ends when the client leaves."""
        task = asyncio.current_task()
        assert task is not None
        watch = self._watches.add(task, receive)
        try:
            return await work
        except asyncio.CancelledError:
            if watch.client_left:
                raise ClientDisconnectedError from None
            raise
        finally:
            watch.stop()

    async def _describe(
        self, request: HttpRequest, caller: Caller, schema: str, watch: Stopwatch
    ) -> Response:
        """Answer the root with the OpenAPI document."""
        accepts = parse_accept(request.headers.get("accept"))
        if not {item.name for item in accepts} & {media.OPENAPI, media.JSON, media.ANY}:
            raise unacceptable_media_types(item.mime for item in accepts)
        config, understanding = self._config, self._understanding()
        query = visibility_query(schema)
        watch.lap("parse")
        recipe = understanding.looking(query, schema, caller.role, request.method)
        job = job_of(recipe, [], request, caller)
        watch.lap("plan")
        result = await self._executor.run(job, anonymous=caller.role == config.anon_role)
        watch.lap("transaction")
        host = request.headers.get("host", "")
        document = describe(understanding.catalog, schema, result.body or b"", config, host)
        headers: Headers = [(b"content-type", media.MediaType(media.OPENAPI).content_type), VARY]
        if understanding.names_schema(request):
            headers.append((b"content-profile", schema.encode()))
        return overridden(Response(200, headers, orjson.dumps(document)), result)

    def _add_common_headers(self, request: HttpRequest, headers: Headers) -> None:
        """Add what every response says, unless this one already says it its own way."""
        config = self._config
        common: Headers = []
        if config.cors_allowed_origins is not None and "origin" in request.headers:
            common += cors_headers(request, config.cors_allowed_origins)
        trace = config.server_trace_header
        if trace is not None and trace.lower() in request.headers:
            common.append((trace.lower().encode(), request.headers[trace.lower()].encode()))
        if common:
            said = {name for name, _ in headers}
            headers += [header for header in common if header[0] not in said]


def _ignore(_scope: Scope, _request: HttpRequest, _response: Response) -> None:
    """Hear of nothing."""


async def _send(send: Send, request: HttpRequest, response: Response) -> None:
    headers = response.headers
    is_head = request.method == "HEAD"
    if not is_head and response.status != 204:
        headers.append((b"content-length", b"%d" % len(response.body)))
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    if response.reason:
        start["reason"] = response.reason  # no part of ASGI; `Exchange` knows it
    await send(start)
    await send({"type": "http.response.body", "body": b"" if is_head else response.body})
