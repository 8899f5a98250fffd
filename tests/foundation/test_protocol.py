"""What goes over a connection, and when: answers in one piece, the shortcut past ASGI, the end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from uvicorn.config import Config
from uvicorn.server import ServerState

from undercroft.foundation.http.envelope import Envelope
from undercroft.foundation.http.metrics import write_down
from undercroft.foundation.http.protocol import LeanProtocol
from undercroft.foundation.settings import Settings

GET = b"GET /a?b=c HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /a?b=c HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"
PLAIN = [(b"content-length", b"4")]
BODY = b"body"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"


class Recorder(asyncio.Transport):
    """A transport that remembers what it was asked to send, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.reads = True

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class App:
    """An application of what a test says, by ASGI and by the shortcut."""

    def __init__(self, asgi: Any = None, shortcut: Any = None) -> None:
        self.asgi = asgi or sending(("start", 200, PLAIN), ("body", BODY, False))
        if shortcut is not None:
            self.shortcut = shortcut

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self.asgi(scope, receive, send)


def sending(*messages: Any) -> Callable[..., Awaitable[None]]:
    """An application that sends these, with pauses where None stands."""

    async def asgi(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            if message is None:
                await asyncio.sleep(0.01)
                continue
            kind, *rest = message
            fields = ("status", "headers") if kind == "start" else ("body", "more_body")
            parts = dict(zip(fields, rest, strict=True))
            await send({"type": f"http.response.{kind}", **parts})

    return asgi


def connected(app: App, **options: Any) -> tuple[Any, Recorder]:
    config = Config(app, http=LeanProtocol, log_config=None, proxy_headers=False, **options)
    config.load()
    protocol = LeanProtocol(config=config, server_state=ServerState(), app_state={})
    transport = Recorder()
    protocol.connection_made(transport)
    return protocol, transport


async def settled() -> None:
    """In many turns: after a standstill, a sleep of ours may end in the same one as theirs."""
    for _ in range(10):
        await asyncio.sleep(0.005)


class TestAnswers:
    async def test_a_head_goes_with_its_body(self):
        protocol, transport = connected(App())
        protocol.data_received(GET)
        await settled()
        assert transport.writes == [OK]

    async def test_a_head_does_not_wait_for_a_body_that_takes_its_time(self):
        slow = sending(("start", 200, PLAIN), None, ("body", BODY, False))
        protocol, transport = connected(App(slow))
        protocol.data_received(GET)
        await settled()
        assert transport.writes == [OK[:-4], BODY]

    async def test_a_body_of_unknown_length_goes_in_chunks(self):
        parts = sending(("start", 200, []), ("body", BODY, True), None, ("body", BODY, False))
        protocol, transport = connected(App(parts))
        protocol.data_received(GET)
        await settled()
        first = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n"
        assert transport.writes == [first, b"4\r\nbody\r\n0\r\n\r\n"]

    async def test_a_head_alone(self):
        protocol, transport = connected(App())
        protocol.data_received(GET.replace(b"GET", b"HEAD"))
        await settled()
        assert transport.writes == [OK[:-4]]

    async def test_a_strange_method_is_for_the_application_and_the_last(self):
        asked: list[str] = []

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            asked.append(scope["method"])
            await sending(("start", 405, PLAIN), ("body", BODY, False))(scope, receive, send)

        protocol, transport = connected(App(asgi))
        protocol.data_received(GET.replace(b"GET", b"BREW") + GET)
        await settled()
        assert (asked, transport.closed) == (["BREW"], True)
        assert transport.writes[0].startswith(b"HTTP/1.1 405 ")

    @pytest.mark.parametrize(
        "data", [GET + GET.replace(b"GET", b"BREW"), b"BR EW / HTTP/1.1\r\n\r\n", b"BREW /a?b"]
    )
    async def test_a_strange_method_that_begins_no_request_we_see_whole(self, data: bytes):
        protocol, transport = connected(App())
        protocol.data_received(data)
        await settled()
        assert transport.closed
        assert b"HTTP/1.1 400 " in b"".join(transport.writes)

    async def test_the_last_answer_says_so_and_is_the_last(self):
        protocol, transport = connected(App())
        protocol.data_received(GET.replace(b"host: x", b"connection: close"))
        await settled()
        assert (transport.writes, transport.closed) == (
            [OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")],
            True,
        )

    async def test_headers_of_the_server_come_first(self):
        protocol, transport = connected(App())
        protocol.server_state.default_headers = [(b"date", b"now")]
        protocol.data_received(GET)
        await settled()
        assert transport.writes[0].startswith(b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length")

    @pytest.mark.parametrize(
        "header",
        [
            (b"x-a", b"1\r\nx-b: 2"),
            (b"x-a", b"1\n"),
            (b"x-a", b"\0"),
            (b"x-a: 1\r\nx-b", b"2"),
            (b"x a", b"1"),
            (b"", b"1"),
            (b"Content-Length", b"4"),
        ],
    )
    async def test_a_header_that_would_be_another(self, header: tuple[bytes, bytes]):
        for _ in range(2):
            bad = sending(("start", 200, [*PLAIN, header]), ("body", BODY, False))
            protocol, transport = connected(App(bad))
            protocol.data_received(GET)
            await settled()
            assert transport.writes[0].startswith(b"HTTP/1.1 500 ")
            assert b"x-a" not in transport.writes[0]

    @pytest.mark.parametrize(
        "headers",
        [
            [(b"content-length", b"1"), *PLAIN],
            [(b"transfer-encoding", b"chunked"), *PLAIN],
            [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
            [(b"transfer-encoding", b"gzip, chunked")],
        ],
    )
    async def test_two_ends_of_one_body(self, headers: list[tuple[bytes, bytes]]):
        protocol, transport = connected(
            App(sending(("start", 200, headers), ("body", BODY, False)))
        )
        protocol.data_received(GET)
        await settled()
        assert transport.writes[0].startswith(b"HTTP/1.1 500 ")
        assert (len(transport.writes), transport.closed) == (1, True)

    @pytest.mark.parametrize("status", [204, 304])
    async def test_a_body_where_none_is_expected(self, status: int):
        protocol, transport = connected(
            App(sending(("start", status, PLAIN), ("body", BODY, False)))
        )
        protocol.data_received(GET)
        await settled()
        assert len(transport.writes) == 1
        assert transport.writes[0].endswith(b"\r\n\r\n")

    @pytest.mark.parametrize("body", [b"bodies", b"bod"])
    async def test_a_body_of_another_length_than_announced(self, body: bytes):
        wrong = sending(("start", 200, PLAIN), ("body", body, False))
        protocol, transport = connected(App(wrong))
        protocol.data_received(GET)
        await settled()
        assert (transport.writes, transport.closed) == ([], True)

    async def test_a_client_that_left_meanwhile(self):
        protocol, transport = connected(App(sending(("start", 200, PLAIN), None)))
        protocol.data_received(GET)
        await asyncio.sleep(0)
        transport.close()
        protocol.connection_lost(None)
        await settled()
        assert transport.writes == []


class TestRequestsSentAtOnce:
    async def test_who_leaves_is_missed_by_the_first_of_them(self):
        heard = []

        async def listening(_scope: Any, receive: Any, _send: Any) -> None:
            while not heard or heard[-1] != "http.disconnect":
                heard.append((await receive())["type"])

        protocol, _ = connected(App(listening))
        protocol.data_received(GET * 2)
        await settled()
        protocol.connection_lost(None)
        await settled()
        assert heard == ["http.request", "http.disconnect"]

    async def test_no_more_of_them_are_read_than_can_wait(self):
        async def reading(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await sending(("start", 200, PLAIN), ("body", BODY, False))(_scope, receive, send)

        protocol, transport = connected(App(reading))
        protocol.data_received(GET * 18)
        await asyncio.sleep(0)
        assert (transport.writes, transport.reads) == ([OK], False)
        await settled()
        assert (transport.writes, transport.reads) == ([OK] * 18, True)


class Underway:
    def __init__(self) -> None:
        self.left = asyncio.Event()

    def leave(self) -> None:
        self.left.set()


class Taking:
    """A shortcut that takes everything, and answers when the test says so."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.underway: list[Underway] = []

    def __call__(self, scope: Any, reply: Any) -> Underway:
        assert (scope["path"], scope["query_string"]) == ("/a", b"b=c")
        self.replies.append(reply)
        self.underway.append(Underway())
        return self.underway[-1]


SHORT = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshort"


def answer(reply: Any) -> None:
    reply.answer(200, [(b"content-length", b"5")], b"short")


class TestShortcut:
    async def test_it_answers(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        for _ in range(2):
            protocol.data_received(GET)
            answer(taking.replies[-1])
        assert transport.writes == [SHORT, SHORT]

    async def test_it_may_be_closed_to_a_request(self):
        protocol, transport = connected(App(shortcut=lambda _scope, _reply: None))
        protocol.data_received(GET)
        await settled()
        assert transport.writes == [OK]

    async def test_what_goes_wrong_on_it_goes_the_ordinary_way(self):
        def broken(_scope: Any, _reply: Any) -> None:
            raise ValueError

        protocol, transport = connected(App(shortcut=broken))
        protocol.data_received(GET)
        await settled()
        assert transport.writes == [OK]

    async def test_starting_over(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        protocol.data_received(GET)
        taking.replies[0].start_over()
        await settled()
        assert transport.writes == [OK]

    async def test_an_answer_that_cannot_be_sent_leaves_the_ordinary_way_open(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        protocol.data_received(GET)
        with pytest.raises(RuntimeError):
            taking.replies[0].answer(200, [(b"x", b"\r\n")], b"")
        taking.replies[0].start_over()
        await settled()
        assert transport.writes == [OK]

    async def test_it_takes_what_came_with_its_body(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        protocol.data_received(POST + BODY + GET)
        assert bytes(taking.replies[0].body) == BODY
        answer(taking.replies[0])
        await settled()
        assert transport.writes == [SHORT, OK]

    @pytest.mark.parametrize("pieces", [(POST, BODY), (POST + BODY[:1], BODY[1:])])
    async def test_it_does_not_wait_for_a_body(self, pieces: tuple[bytes, bytes]):
        taking, told = Taking(), []

        async def asgi(_scope: Any, receive: Any, send: Any) -> None:
            while (message := await receive())["more_body"]:
                told.append(message["body"])
            told.append(message["body"])
            await sending(("start", 200, PLAIN), ("body", BODY, False))(_scope, receive, send)

        protocol, transport = connected(App(asgi, shortcut=taking))
        for piece in pieces:
            protocol.data_received(piece)
        await settled()
        assert (transport.writes, b"".join(told)) == ([OK], BODY)
        assert not taking.replies

    async def test_a_body_that_is_none_starts_nothing(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        protocol.data_received(
            POST.replace(b"content-length: 4", b"transfer-encoding: chunked") + b"x\r\n"
        )
        await settled()
        assert transport.writes[0].startswith(b"HTTP/1.1 400 ")
        assert (len(transport.writes), transport.closed, taking.replies) == (1, True, [])

    async def test_what_cannot_be_sent_is_counted_on_the_ordinary_way_alone(self):
        def shortcut(_scope: Any, reply: Any) -> Underway:
            asyncio.get_running_loop().call_soon(fail, reply)
            return Underway()

        def fail(reply: Any) -> None:
            with pytest.raises(RuntimeError):
                reply.answer(200, [(b"x", b"\r\n")], b"")
            reply.start_over()

        plane = {"plane": "counted", "method": "GET", "status": "200"}
        app: Any = Envelope(
            App(shortcut=shortcut), Settings(), plane=plane["plane"], max_body_bytes=1
        )
        protocol, transport = connected(app)
        protocol.data_received(GET)
        await settled()
        assert transport.writes[0].endswith(BODY)
        write_down()
        assert REGISTRY.get_sample_value("undercroft_http_requests_total", plane) == 1

    async def test_nothing_is_answered_twice(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        protocol.data_received(GET)
        answer(taking.replies[0])
        taking.replies[0].start_over()
        await settled()
        assert transport.writes == [SHORT]

    async def test_requests_sent_at_once_are_answered_in_their_order(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        protocol.data_received(GET * 3)
        await settled()
        assert (transport.writes, len(taking.replies)) == ([], 1)
        answer(taking.replies[0])
        await settled()
        assert transport.writes == [SHORT, OK, OK]

    async def test_who_reads_no_answers_is_waited_for(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        protocol.pause_writing()
        protocol.data_received(GET)
        await settled()
        assert (taking.replies, transport.writes) == ([], [])
        protocol.resume_writing()
        await settled()
        assert transport.writes == [OK]

    async def test_who_leaves_gets_nothing_and_is_waited_for_a_moment_only(self):
        taking = Taking()
        protocol, transport = connected(App(shortcut=taking))
        protocol.data_received(GET)
        protocol.connection_lost(None)
        assert not taking.underway[0].left.is_set()
        await asyncio.wait_for(taking.underway[0].left.wait(), 5)
        answer(taking.replies[0])
        taking.replies[0].start_over()
        await settled()
        assert transport.writes == []


class TestIdleConnections:
    async def test_one_is_closed(self):
        protocol, transport = connected(App(), timeout_keep_alive=0)
        protocol.data_received(GET)
        await settled()
        assert (transport.writes, transport.closed) == ([OK], True)

    async def test_one_that_waits_for_an_answer_is_not(self):
        protocol, transport = connected(App(sending(None)), timeout_keep_alive=0)
        protocol.data_received(GET)
        protocol.timeout_keep_alive_handler()
        assert not transport.closed

    async def test_one_that_was_used_lately_is_not(self):
        protocol, transport = connected(App(), timeout_keep_alive=1000)
        protocol.data_received(GET)
        await settled()
        protocol.timeout_keep_alive_handler()
        assert not transport.closed
        assert protocol.timeout_keep_alive_task is not None
