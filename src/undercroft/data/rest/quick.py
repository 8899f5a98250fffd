"""The shortcut of the rows API: what is known already, of known callers.

Reads that are known to be quick share sessions. Those that came in together are sent together, so
that the server is woken once: those of one caller as one transaction, and what is the same of them
once for all. They are answered from where answers of the server are read. What writes has a session
to itself. See docs/decisions/0089.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from psycopg.pq.abc import PGresult

from undercroft.data.rest.answers import KEY_HEADER
from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import RestError, client_failed
from undercroft.data.rest.execute import Executor, Job, read_result
from undercroft.data.rest.pool import Foreign
from undercroft.data.rest.recipes import Caller, job_of
from undercroft.data.rest.request import SENDS_BODY, HttpRequest, Scope, read_http
from undercroft.data.rest.response import Response, respond, respond_within
from undercroft.data.rest.sharing import MOST_AT_ONCE, Pace, Reading
from undercroft.data.rest.understanding import Understanding
from undercroft.data.rest.understood import Understood
from undercroft.foundation.db import StatementFailed
from undercroft.foundation.http.shortcut import Reply, Underway

_METHODS = frozenset({"GET", "POST", "PATCH", "DELETE"})
# The database may have another word, `response.status`: such answers may have no body, be noted as
# refusals or written down, and the ordinary way knows which.
_ALL_IS_WELL = (200, 206)
# Where the scope says what has become of a write that starts over.
OUTCOME = "undercroft.rows.outcome"

# Says who calls without looking anything up; None if that cannot be said, or they may not.
Recognise = Callable[[Mapping[str, str]], Caller | None]


def outcome(scope: Scope) -> Response | None:
    """What has become of a write that starts over. Raises it where it is an error."""
    known: Response | Exception | None = scope.get(OUTCOME)
    if isinstance(known, Exception):
        raise known
    return known


class QuickRead:
    """A read on its way, for itself and for those that ask the very same."""

    __slots__ = (
        "_leader",
        "_query",
        "_reply",
        "_understood",
        "followers",
        "job",
        "left",
        "pace",
        "travel",
    )

    def __init__(
        self, understood: Understood, job: Job, pace: Pace, query: bytes, reply: Reply
    ) -> None:
        self.job = job
        self.pace = pace
        self._understood = understood
        self._query = query
        self._reply = reply
        self._leader: QuickRead | None = None
        self.followers: list[QuickRead] = []  # who take its answer
        self.travel: QuickReads | None = None
        self.left = False

    @property
    def question(self) -> tuple[object, ...]:
        """What decides the answer, beside who asks and what is in the database."""
        return id(self._understood), self._query

    def follow(self, leader: "QuickRead") -> None:
        """Take the answer of a read that has not been sent yet."""
        self._leader = leader
        leader.followers.append(self)

    def leave(self) -> None:
        """Wait no more; the last of those who were sent together ends their transaction."""
        self.left = True
        travel = (self._leader or self).travel
        if travel is not None:
            travel.lose()

    @property
    def awaited(self) -> bool:
        return not (self.left and all(follower.left for follower in self.followers))

    def answered(self, result: PGresult) -> None:
        understood, ready = self._understood, b""
        try:
            found = read_result(result, self.job.recipe)
            if found.status is None and found.headers is None:
                response = respond_within(understood, found, self._query)
                ready = understood.frame.lines
            else:
                response = respond(understood, found, self._query)
        except Exception:  # noqa: BLE001 - others wait behind this one, and there it is said why
            self.failed()
            return
        if response.status not in _ALL_IS_WELL:
            self.failed()
            return
        response.headers.append((b"content-length", b"%d" % len(response.body)))
        for read in self._all():
            read.answer(response, ready)

    def failed(self) -> None:
        for read in self._all():
            read.start_over()

    def answer(self, response: Response, ready: bytes) -> None:
        if self.left:
            return
        try:
            self._reply.answer(*response[:3], ready)
        except Exception:  # noqa: BLE001 - as above
            self._reply.start_over()

    def start_over(self) -> None:
        if not self.left:
            self._reply.start_over()

    def _all(self) -> list["QuickRead"]:
        """All who wait for the answer, which refer to each other no more."""
        every = [self, *self.followers]
        self.followers = []
        self.travel = None
        return every


class QuickReads(Reading):
    """Reads of one caller, on their way as one transaction."""

    __slots__ = ("_reads",)

    def __init__(self, reads: Sequence[QuickRead]) -> None:
        super().__init__([read.pace for read in reads])
        self._reads = reads
        for read in reads:
            read.travel = self

    def lose(self) -> None:
        """Somebody waits no more."""
        if not any(read.awaited for read in self._reads):
            self.end()

    def answered(self, results: list[PGresult]) -> None:
        own = results[-len(self._reads) :]
        if len(own) > 1 and any(map(_has_settings, own)):
            for pace in self.paces:
                pace.alone = True
            self.failed()
            return
        for read, result in zip(self._reads, own, strict=True):
            read.answered(result)

    def failed(self) -> None:
        for read in self._reads:
            read.failed()


def _has_settings(result: PGresult) -> bool:
    """Whether code set headers or the status: all that follow in the transaction see them.

    They are columns of every result, see `query.result`.
    """
    return result.get_value(0, 3) is not None or result.get_value(0, 4) is not None


class QuickWrite:
    """A write on its way. Once it is done, the ordinary way is only told of that."""

    __slots__ = ("_give_back", "_over", "_query", "_reply", "_scope", "_understood", "job")

    def __init__(
        self, understood: Understood, job: Job, query: bytes, scope: Scope, reply: Reply
    ) -> None:
        self.job = job
        self._over = False
        self._understood = understood
        self._query = query
        self._scope = scope
        self._reply = reply

    def begin(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back

    def leave(self) -> None:
        """Wait no more; what is not done by now is cancelled."""
        if not self._over:
            self._over = True
            self._give_back()

    def done(self) -> bool:
        return self._over

    def set_result(self, results: list[PGresult]) -> None:
        self.leave()
        try:
            result = read_result(results[-1], self.job.recipe)
            response = respond(self._understood, result, self._query)
            if result.status is not None:
                self._tell(response)
                return
            if response.status != 204:
                response.headers.append((b"content-length", b"%d" % len(response.body)))
            self._reply.answer(*response[:3])
        except Exception as error:  # noqa: BLE001 - it is raised where errors are worded
            self._tell(error)

    def set_exception(self, error: Exception) -> None:
        self.leave()
        if isinstance(error, StatementFailed):  # and nothing of it was kept
            self._reply.start_over()
        else:
            self._tell(client_failed(str(error)))

    def _tell(self, outcome: Response | Exception) -> None:
        self._scope[OUTCOME] = outcome
        self._reply.start_over()


class Quick:
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

    def begin(self, scope: Scope, reply: Reply) -> Underway | None:
        """Take on a request, unless it has to go the ordinary way."""
        if scope["method"] not in _METHODS:
            return None
        request = read_http(scope, self._config.prefix, self._config.secret_headers)
        if "origin" in request.headers and self._config.cors_allowed_origins is not None:
            return None
        caller = self._recognise(request.headers)
        known = caller and self._recall(request, caller, reply.body)
        if not (caller and known):
            return None
        understood, values = known
        recipe = understood.recipe
        job = job_of(recipe, values, request, caller)
        if recipe.pace is not None:
            return self._gather(QuickRead(understood, job, recipe.pace, request.query, reply))
        one_trip = recipe.fits_one_trip and recipe.foreign is Foreign.NONE
        if one_trip and not recipe.read_only and KEY_HEADER not in request.headers:
            write = QuickWrite(understood, job, request.query, scope, reply)
            return write if self._executor.send_alone(job, write) else None
        return None

    def _recall(
        self, request: HttpRequest, caller: Caller, body: bytes | bytearray
    ) -> tuple[Understood, list[str | None]] | None:
        limit = self._config.max_body_bytes
        if limit is not None and len(body) > limit:
            return None
        sent = bytes(body) if request.method in SENDS_BODY else None
        try:
            return self._understanding().recall(request, caller.role, sent)
        except RestError:
            return None

    def _gather(self, read: QuickRead) -> QuickRead:
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._send)
        self._gathered.append(read)
        return read

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        callers: dict[tuple[object, ...], dict[tuple[object, ...], QuickRead]] = {}
        for read in gathered:
            if read.left:
                continue
            leaders = callers.setdefault(read.job.entrance, {})
            leader = leaders.setdefault(read.question, read)
            if leader is not read:
                read.follow(leader)
        for leaders in callers.values():
            for reads in _portions(leaders.values(), self._executor.together):
                self._send_together(reads)

    def _send_together(self, reads: Sequence[QuickRead]) -> None:
        travel = QuickReads(reads)
        try:
            sent = self._executor.send([read.job for read in reads], travel)
        except Exception:  # noqa: BLE001 - others were gathered with them
            travel.end()
            sent = False
        if sent:
            return
        if len(reads) == 1:
            travel.failed()
            return
        for read in reads:
            self._send_together([read])


def _portions(reads: Iterable[QuickRead], together: float) -> Iterator[list[QuickRead]]:
    """Part them into those that are expected to take `together` seconds at most."""
    portion: list[QuickRead] = []
    expected = 0.0
    for read in reads:
        pace = read.pace
        if pace.alone:
            yield [read]
            continue
        full = len(portion) == MOST_AT_ONCE or expected + pace.seconds > together
        if portion and full:
            yield portion
            portion, expected = [], 0.0
        portion.append(read)
        expected += pace.seconds
    if portion:
        yield portion
