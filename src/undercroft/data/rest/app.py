"""The rows API as a plain ASGI application, independent of who signs people in.

`authenticate` turns the headers of a request into a `Caller`; everything after that happens as
the caller's database role.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from undercroft.data.rest.compile import Compiled, Compiler, Intent
from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import (
    RestError,
    not_singular,
    schema_cache_missing,
    too_many_affected,
    unacceptable_schema,
)
from undercroft.data.rest.execute import Executor, Job, Result, RowCountError
from undercroft.data.rest.intent import Wanted, read_call_intent, read_table_intent
from undercroft.data.rest.preferences import Preferences
from undercroft.data.rest.query.sql import ident
from undercroft.data.rest.request import (
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
from undercroft.data.rest.response import Around, Response, respond
from undercroft.data.schema.cache import SchemaCache, SchemaCacheNotLoadedError
from undercroft.data.schema.model import QualifiedName, Volatility

_WATCH_AFTER = 0.1  # seconds of query after which a client that goes away is noticed


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the database role to become, and the claims policies will read, as JSON text."""

    role: str
    claims: str


Authenticate = Callable[[Mapping[str, str]], Awaitable[Caller]]
# Waits for schema changes that are committed but not yet seen; says whether there were any.
CatchUp = Callable[[], Awaitable[bool]]
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
        catch_up: CatchUp | None = None,
    ) -> None:
        self._executor = executor
        self._schema_cache = schema_cache
        self._authenticate = authenticate
        self._config = config
        self._catch_up = catch_up
        self._compiler: Compiler | None = None
        self._generation = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive)
        except RestError as error:
            body = error.body(verbose=self._config.verbose_errors)
            response = Response(error.status, error.response_headers(), body)
        except ClientDisconnectedError:
            return
        await _send(send, response, is_head=scope["method"] == "HEAD")

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        request = read_http(scope, self._config.prefix)
        caller = await self._authenticate(request.headers)
        resource = find_resource(request, self._config.root_spec)
        schema = self._schema(request)
        compiler = self._current_compiler()
        if resource.action == "inspect":
            return _allow(_allowed_methods(compiler, resource, schema))
        body = None
        if has_body(resource.action, request.method):
            body = await read_body(receive, self._config.max_body_bytes)
        if resource.kind == "root":
            raise RestError(404, "PGRST126", "Root endpoint metadata is disabled")
        try:
            wanted, compiled = self._understand(request, resource, schema, body)
        except RestError as error:
            if error.code not in UNKNOWN_NAMES or not (self._catch_up and await self._catch_up()):
                raise
            wanted, compiled = self._understand(request, resource, schema, body)
        job = self._job(request, caller, wanted, compiled)
        result = await self._run(job, wanted.intent, compiled, receive)
        many = len(self._config.schemas) > 1 or request.profile is not None
        profile = schema if many else None
        around = Around(self._config.prefix, request.query, profile, wanted.window.offset)
        return respond(wanted.intent, compiled, result, around)

    def _understand(
        self, request: HttpRequest, resource: Resource, schema: str, body: bytes | None
    ) -> tuple[Wanted, Compiled]:
        compiler = self._current_compiler()
        read_intent = read_call_intent if resource.kind == "function" else read_table_intent
        wanted = read_intent(
            request, resource, schema, body, config=self._config, catalog=compiler.catalog
        )
        return wanted, compiler.compile(wanted.intent)

    def _schema(self, request: HttpRequest) -> str:
        profile = request.profile
        if profile is None:
            return self._config.schemas[0]
        if profile not in self._config.schemas:
            raise unacceptable_schema(profile, self._config.schemas)
        return profile

    def _current_compiler(self) -> Compiler:
        """Keep what is compiled until the catalogue is read again."""
        if self._compiler is None or self._generation != self._schema_cache.generation:
            try:
                catalog = self._schema_cache.current
            except SchemaCacheNotLoadedError as error:
                raise schema_cache_missing() from error
            self._generation = self._schema_cache.generation
            self._compiler = Compiler(catalog, self._config)
        return self._compiler

    def _job(self, request: HttpRequest, caller: Caller, wanted: Wanted, compiled: Compiled) -> Job:
        config, intent = self._config, wanted.intent
        catalog = self._current_compiler().catalog
        function = compiled.function
        least, most = _row_limits(intent, compiled)
        return Job(
            statement=compiled.statement,
            values=wanted.values,
            role=caller.role,
            claims=caller.claims,
            method=request.method,
            path=request.path,
            headers=request.headers_json(),
            cookies=request.cookies_json(),
            search_path=", ".join(
                ident(name) for name in (intent.target.schema, *config.extra_search_path)
            ),
            read_only=compiled.read_only,
            settings=(
                *catalog.role_settings.get(caller.role, ()),
                *_timezone(intent.preferences),
                *(function.settings if function else ()),
                *config.app_settings,
            ),
            isolation=(function and function.isolation) or catalog.role_isolation.get(caller.role),
            body_slot=wanted.body_slot,
            least=least,
            most=most,
            rolls_back=self._rolls_back(intent.preferences),
            explain_count=compiled.explain_count,
            explain_above=config.max_rows if intent.preferences.count == "estimated" else None,
            plan_options=_plan_options(compiled),
        )

    def _rolls_back(self, preferences: Preferences) -> bool:
        return preferences.tx == "rollback" or (
            self._config.tx_end.rolls_back and preferences.tx != "commit"
        )

    async def _run(self, job: Job, intent: Intent, compiled: Compiled, receive: Receive) -> Result:
        anonymous = job.role == self._config.anon_role
        task = asyncio.current_task()
        assert task is not None
        watch = _Watch(task, receive)
        try:
            return await self._executor.run(job, anonymous=anonymous)
        except RowCountError as error:
            raise _row_count_refused(intent, compiled, error.rows) from error
        except asyncio.CancelledError:
            if watch.client_left:
                raise ClientDisconnectedError from None
            raise
        finally:
            watch.stop()


class _Watch:
    """Cancels a request whose client goes away while its query is running.

    It starts late, because a task for every request costs more than most queries.
    """

    __slots__ = ("_receive", "_request", "_task", "_timer", "client_left")

    def __init__(self, request: "asyncio.Task[object]", receive: Receive) -> None:
        self._request = request
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self.client_left = False
        self._timer = asyncio.get_running_loop().call_later(_WATCH_AFTER, self._start)

    def _start(self) -> None:
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.client_left = True
                self._request.cancel()
                return

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


async def _send(send: Send, response: Response, *, is_head: bool) -> None:
    headers = list(response.headers)
    if not is_head and response.status != 204:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else response.body})


def _allow(methods: str) -> Response:
    return Response(
        200, [(b"allow", methods.encode()), (b"access-control-allow-origin", b"*")], b""
    )


def _allowed_methods(compiler: Compiler, resource: Resource, schema: str) -> str:
    if resource.kind == "root":
        return "OPTIONS,GET,HEAD"
    name = QualifiedName(schema, resource.name)
    if resource.kind == "function":
        functions = compiler.catalog.functions.get(name, ())
        volatile = any(item.volatility is Volatility.VOLATILE for item in functions)
        return "OPTIONS,POST" if volatile else "OPTIONS,GET,HEAD,POST"
    table = compiler.find_table(name)
    methods = ["OPTIONS,GET,HEAD"]
    if table.insertable:
        methods.append("POST")
    if table.insertable and table.updatable and table.primary_key:
        methods.append("PUT")
    if table.updatable:
        methods.append("PATCH")
    if table.deletable:
        methods.append("DELETE")
    return ",".join(methods)


def _row_limits(intent: Intent, compiled: Compiled) -> tuple[int | None, int | None]:
    """Say how few and how many rows the request allows."""
    if intent.action == "upsert" or compiled.answer.is_object:
        return 1, 1
    preferences = intent.preferences
    if preferences.strict and intent.action in ("update", "delete", "call"):
        return None, preferences.max_affected
    return None, None


def _row_count_refused(intent: Intent, compiled: Compiled, rows: int) -> RestError:
    if intent.action == "upsert":
        message = "Payload values do not match URL in primary key column(s)"
        return RestError(400, "PGRST115", message)
    return not_singular(rows) if compiled.answer.is_object else too_many_affected(rows)


def _timezone(preferences: Preferences) -> tuple[tuple[str, str], ...]:
    return (("timezone", preferences.timezone),) if preferences.timezone else ()


def _plan_options(compiled: Compiled) -> str | None:
    media_type = compiled.answer.media_type
    if media_type.plan_format is None:
        return None
    return ", ".join([f"format {media_type.plan_format}", *media_type.plan_options])
