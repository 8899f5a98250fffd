"""The shortcut of the rows API: reads that are known, and known to be quick, of known callers.

What came in together is sent together, so that the server is woken once, and answered from where
its answers are read. See docs/decisions/0089.
"""

import asyncio
from collections.abc import Callable, Mapping

from psycopg.pq.abc import PGresult

from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.execute import Executor, Job, read_result
from undercroft.data.rest.recipes import Caller, job_of
from undercroft.data.rest.request import HttpRequest, Scope, read_http
from undercroft.data.rest.response import respond
from undercroft.data.rest.sharing import Pace, Reading
from undercroft.data.rest.understanding import Understanding
from undercroft.data.rest.understood import Understood
from undercroft.foundation.http.shortcut import Reply

# The database may have another word, `response.status`: such answers may have no body, be noted as
# refusals or written down, and the ordinary way knows which.
_ALL_IS_WELL = (200, 206)

# Says who calls without looking anything up; None if that cannot be said, or they may not.
Recognise = Callable[[Mapping[str, str]], Caller | None]


class QuickRead(Reading):
    """One of them, on its way."""

    __slots__ = ("_query", "_reply", "_understood", "job")

    def __init__(
        self, understood: Understood, job: Job, pace: Pace, query: bytes, reply: Reply
    ) -> None:
        super().__init__(pace)
        self.job = job
        self._understood = understood
        self._query = query
        self._reply = reply

    def answered(self, results: list[PGresult]) -> None:
        try:
            result = read_result(results[-1], self.job.recipe)
            status, headers, body, _ = respond(self._understood, result, self._query)
            if status in _ALL_IS_WELL:
                headers.append((b"content-length", b"%d" % len(body)))
                self._reply.answer(status, headers, body)
            else:
                self.failed()
        except Exception:  # noqa: BLE001 - others wait behind this one, and there it is said why
            self.failed()

    def failed(self) -> None:
        self._reply.start_over()


class QuickReads:
    def __init__(
        self,
        executor: Executor,
        understanding: Callable[[], Understanding],
        recognise: Recognise,
        config: RestConfig,
    ) -> None:
        self._executor = executor
        self._understanding = understanding
        self._recognise = recognise
        self._config = config
        self._gathered: list[QuickRead] = []

    def begin(self, scope: Scope, reply: Reply) -> QuickRead | None:
        """Take on a request, unless it has to go the ordinary way."""
        if scope["method"] != "GET":
            return None
        request = read_http(scope, self._config.prefix, self._config.secret_headers)
        if "origin" in request.headers and self._config.cors_allowed_origins is not None:
            return None
        caller = self._recognise(request.headers)
        read = caller and self._read(request, caller, reply)
        if read:
            if not self._gathered:
                asyncio.get_running_loop().call_soon(self._send)
            self._gathered.append(read)
        return read

    def _read(self, request: HttpRequest, caller: Caller, reply: Reply) -> QuickRead | None:
        try:
            known = self._understanding().recall(request, caller.role, None)
        except RestError:
            return None
        if known is None:
            return None
        understood, values = known
        pace = understood.recipe.pace
        if pace is None:
            return None
        job = job_of(understood.recipe, values, request, caller)
        return QuickRead(understood, job, pace, request.query, reply)

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        for read in gathered:
            if read.done():
                continue
            try:
                sent = self._executor.send(read.job, read)
            except Exception:  # noqa: BLE001 - others were gathered with it
                read.leave()
                sent = False
            if not sent:
                read.failed()
