"""What leaves a connection, and when."""

import asyncio
from typing import Any, cast

import pytest

from undercroft.server.protocol import JoiningTransport

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Recorder:
    """A transport that remembers what it was asked to send, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.write(b"".join(parts))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def plain() -> Recorder:
    return Recorder()


def joining(plain: Recorder) -> JoiningTransport:
    return JoiningTransport(cast(Any, plain), asyncio.get_running_loop())


async def test_a_head_goes_with_its_body(plain: Recorder):
    transport = joining(plain)
    transport.write(HEAD)
    transport.write(b"body")
    transport.write(b"more")
    assert plain.writes == [HEAD + b"body", b"more"]
    await asyncio.sleep(0)
    assert len(plain.writes) == 2


async def test_a_head_does_not_wait_for_a_body_that_takes_its_time(plain: Recorder):
    joining(plain).write(HEAD)
    await asyncio.sleep(0)
    assert plain.writes == [HEAD]


async def test_heads_in_a_row_keep_their_order(plain: Recorder):
    transport = joining(plain)
    transport.write(HEAD)
    transport.write(HEAD)
    assert plain.writes == [HEAD + HEAD]


async def test_closing_sends_what_is_held_back(plain: Recorder):
    transport = joining(plain)
    transport.write(HEAD)
    transport.close()
    assert (plain.writes, plain.closed) == ([HEAD], True)


async def test_a_client_that_left_meanwhile(plain: Recorder):
    joining(plain).write(HEAD)
    plain.close()
    await asyncio.sleep(0)
    assert plain.writes == []
