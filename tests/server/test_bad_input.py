"""Bodies and connections that no well-meaning client sends, on a real socket."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.fixtures.served import Served, serving

JSON = b"Content-Type: application/json\r\n"
LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n" + JSON


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("bad") / "home", "--workers", "1") as served:
        yield served


def connected(served: Served) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", served.port), timeout=20))


def answer(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and problem of the next answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        assert chunk, received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1]), json.loads(body)


def test_a_target_may_be_what_people_type(server: Served):
    with connected(server) as connection:
        for target in ("/rest/v1/映画?titre=eq.é", "/api/v1/é"):
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            status, problem = answer(connection)
            assert (status, problem["code"]) in ((401, "PGRST302"), (404, "not_found"))


def test_a_body_like_a_request_is_a_body(server: Served):
    body = "GET /é HTTP/1.1\r\n\r\n".encode()
    with connected(server) as connection:
        for _ in range(2):
            head = LOGIN + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head)
            assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            status, problem = answer(connection)
            assert (status, problem["code"]) == (422, "invalid")


def test_a_gigabyte_is_refused_by_its_announcement(server: Served):
    for path in (b"/api/v1/auth/login", b"/rest/v1/anything"):
        with connected(server) as connection:
            head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + JSON
            connection.sendall(head + b"Content-Length: 1000000000\r\n\r\n{")
            status, problem = answer(connection)
        assert (status, problem["code"]) == (413, "body_too_large")


def test_chunks_are_counted_whatever_was_announced(server: Served):
    with connected(server) as connection:
        connection.sendall(LOGIN + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%s\r\n" % (1_000_000, b" " * 1_000_000)
        for _ in range(16):
            try:
                connection.sendall(chunk)
            except OSError:
                break
        status, problem = answer(connection)
    assert (status, problem["code"]) == (413, "body_too_large")


def test_a_body_cut_short_harms_nobody(server: Served):
    with connected(server) as connection:
        connection.sendall(LOGIN + b'Content-Length: 100\r\n\r\n{"identifier": ')
        connection.shutdown(socket.SHUT_WR)
        received = connection.recv(65536)
        assert received == b"" or received.startswith(b"HTTP/1.1 4"), received
    assert server.get("/health") == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", b"application/json", 422),
        (b"[]", b"application/json", 422),
        (b"null", b"application/json", 422),
        (b'{"identifier": "a"}', b"application/json", 422),
        (b'{"identifier": 5, "password": []}', b"application/json", 422),
        (b"\xff\xfe", b"application/json", 422),
        (b"[" * 100_000, b"application/json", 422),
        (b"username=a&password=b", b"text/plain", 415),
        (b"username=a", b"application/x-www-form-urlencoded", 422),
    ],
)
def test_a_body_of_the_wrong_shape_is_told_so(
    server: Served, body: bytes, kind: bytes, status: int
):
    with connected(server) as connection:
        head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: " + kind
        connection.sendall(head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        found, problem = answer(connection)
    # The table of limits counts these as sign-ins too; a refusal for the rate is as clear.
    assert found in {status, 429}, problem
    assert problem["type"]


def test_long_queries_and_heads_are_refused(server: Served):
    assert server.get("/rest/v1/x?" + "a" * 17_000) == 414
    with connected(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 33_000 + b"\r\n\r\n")
        assert answer(connection)[0] == 431
