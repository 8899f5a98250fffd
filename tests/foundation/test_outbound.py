"""The guarded client: what it does not call, and what it does not swallow."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.certificates import Certificate, make_certificate
from tests.fixtures.targets import Reply, answer, target
from undercroft.foundation.outbound import (
    Answer,
    AnswerTooLarge,
    Outbound,
    OutboundError,
    TargetRefused,
    TargetSilent,
    TargetUnreachable,
    TooManyRedirects,
)
from undercroft.foundation.settings import OutboundSettings

LONG, SHORT = timedelta(seconds=20), timedelta(milliseconds=300)
HERE = "here.example"  # a name that the operator allows to lead to this machine


class Names:
    """A name server. Unknown names are looked up as the machine does, which needs no network."""

    def __init__(self, **names: Sequence[str]) -> None:
        self.names = {name.replace("_", "."): found for name, found in names.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host == HERE:
            return ["127.0.0.1"]
        if host in self.names:
            return self.names[host]
        flags = 0 if any(sign.isdigit() for sign in host) else socket.AI_NUMERICHOST
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        return [str(entry[4][0]) for entry in found]


@asynccontextmanager
async def outbound(names: Names | None = None, **settings: Any) -> AsyncIterator[Outbound]:
    made = Outbound(OutboundSettings(**{"allowed_hosts": (HERE,)} | settings), names or Names())
    yield made
    await made.aclose()


async def get(client: Outbound, url: str, **options: Any) -> tuple[int, bytes]:
    given: dict[str, Any] = {"max_bytes": 100_000, "timeout": LONG} | options
    async with client.send("GET", url, **given) as found:
        return found.status, await found.read()


async def test_an_allowed_name_answers():
    async with target(answer(201, b"made")) as server, outbound() as client:
        assert await get(client, server.url(HERE)) == (201, b"made")
        assert server.heard[0].headers["host"] == f"{HERE}:{server.port}"


PRIVATE_FORMS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "017700000001",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[2001:4860:0:1::5efe:7f00:1]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.1.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
]
METADATA = [
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "0xa9fea9fe",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fd00:ec2::254]",
]


class TestAddresses:
    @pytest.mark.parametrize("host", PRIVATE_FORMS + METADATA)
    async def test_only_public_ones_are_called(self, host: str):
        async with outbound() as client:
            with pytest.raises(OutboundError) as refused:
                await get(client, f"http://{host}/", timeout=timedelta(seconds=5))
        # What the C library takes for no address at all is not called either.
        assert refused.value.reason in {"target_refused", "unreachable"}

    @pytest.mark.parametrize("host", METADATA)
    async def test_metadata_is_out_of_reach_even_where_everything_is_allowed(self, host: str):
        async with outbound(allowed_networks=("0.0.0.0/0", "::/0")) as client:
            with pytest.raises(TargetRefused):
                await get(client, f"http://{host}/")

    async def test_nothing_reaches_a_local_server_by_any_spelling(self):
        async with target(answer()) as server, outbound(ports=(server.port,)) as client:
            for host in PRIVATE_FORMS[:13]:
                with pytest.raises(OutboundError):
                    await get(client, server.url(host))
            assert server.connections == 0

    @pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "fd00::1"])
    async def test_a_name_that_leads_to_a_private_address_is_refused(self, address: str):
        async with outbound(Names(evil_example=[address])) as client:
            with pytest.raises(TargetRefused):
                await get(client, "http://evil.example/")

    async def test_of_several_addresses_only_the_permitted_are_tried(self):
        names = Names(mixed_example=["10.1.2.3", "127.0.0.1"])
        async with (
            target(answer()) as server,
            outbound(names, allowed_networks=("127.0.0.1/32",)) as client,
        ):
            assert (await get(client, server.url("mixed.example")))[0] == 200

    async def test_a_name_is_looked_up_once_per_connection_and_judged_each_time(self):
        names = Names(moving_example=["127.0.0.1"])
        async with target(answer(connection="close"), host="0.0.0.0") as server:
            async with outbound(names, allowed_networks=("127.0.0.1/32",)) as client:
                assert (await get(client, server.url("moving.example")))[0] == 200
                assert names.asked == ["moving.example"]
                names.names["moving.example"] = ["127.0.0.2"]
                with pytest.raises(TargetRefused):
                    await get(client, server.url("moving.example"))
            assert {heard.address for heard in server.heard} == {"127.0.0.1"}

    async def test_allowed_networks_are_reached_by_mapped_addresses_too(self):
        async with (
            target(answer()) as server,
            outbound(allowed_networks=("127.0.0.0/8",)) as client,
        ):
            assert (await get(client, server.url()))[0] == 200
            with pytest.raises(TargetRefused):
                await get(client, "http://10.0.0.1/")

    async def test_the_resolver_of_the_machine_is_the_default(self):
        client = Outbound(OutboundSettings())
        with pytest.raises(TargetRefused):
            await get(client, "http://127.0.0.1/")
        await client.aclose()


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "ftp://files.example/",
            "file:///etc/passwd",
            "gopher://old.example/",
            "//no-scheme.example/",
            "no-scheme.example",
            "http://",
            "http:///path",
            "http://user:password@files.example/",
            "http://files.example@127.0.0.1/",
            "http://127.0.0.1#@files.example/",
            "http://files.example\\@127.0.0.1/",
            "http://files.example/\r\nHost: other",
            "http://files.example/\x00",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://files.example:99999/",
            "http://[::1/",
            "http://files.example/" + "a" * 3000,
            "",
        ],
    )
    async def test_what_is_no_public_address_is_refused_before_the_network(self, url: str):
        names = Names()
        async with outbound(names) as client:
            with pytest.raises(OutboundError):
                await get(client, url)
        assert [host for host in names.asked if host != "127.0.0.1"] == []

    @pytest.mark.parametrize("port", [0, 22, 25, 6379, 5432, 65535])
    async def test_odd_ports_are_refused(self, port: int):
        async with outbound(Names(files_example=["93.184.216.34"])) as client:
            with pytest.raises(TargetRefused):
                await get(client, f"http://files.example:{port}/")

    async def test_plain_http_can_be_ruled_out(self):
        async with outbound(https_only=True) as client:
            with pytest.raises(TargetRefused):
                client.check("http://files.example/")
            assert client.check("https://files.example/").host == "files.example"


class TestRedirects:
    @pytest.mark.parametrize(
        "location",
        [
            "http://127.0.0.1:{port}/inner",
            "http://[::ffff:127.0.0.1]:{port}/inner",
            "//127.0.0.1:{port}/inner",
            "http://2130706433:{port}/inner",
            "http://user:password@here.example:{port}/inner",
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data/",
        ],
    )
    async def test_each_step_is_judged_like_the_first(self, location: str):
        async with target(answer()) as inner:
            moved = answer(302, location=location.format(port=inner.port))
            async with target(moved) as server, outbound() as client:
                with pytest.raises(OutboundError):
                    await get(client, server.url(HERE), follow=True)
            assert inner.connections == 0

    async def test_are_followed_where_that_is_asked_for_only(self):
        async with (
            target(answer(200, b"there")) as there,
            target(answer(307, location=there.url(HERE))) as server,
            outbound() as client,
        ):
            assert (await get(client, server.url(HERE)))[0] == 307
            assert (await get(client, server.url(HERE), follow=True))[1] == b"there"

    async def test_are_followed_a_few_times(self):
        steps = count()

        async def further(writer: asyncio.StreamWriter) -> None:
            await answer(302, b"", location=f"/{next(steps)}")(writer)

        async with target(further) as server, outbound(max_redirects=2) as client:
            with pytest.raises(TooManyRedirects):
                await get(client, server.url(HERE), follow=True)
        assert len(server.heard) == 3

    async def test_do_not_leave_tls(self, tmp_path: Path):
        made = make_certificate(tmp_path, HERE)
        async with target(answer()) as plain:
            moved = answer(302, location=plain.url(HERE))
            async with (
                target(moved, tls=made.context()) as server,
                outbound(ca_file=str(made.file)) as client,
            ):
                with pytest.raises(TargetRefused):
                    await get(client, server.url(HERE, scheme="https"), follow=True)
            assert plain.connections == 0


class TestTls:
    async def test_verifies_the_name_and_not_the_address(self, tmp_path: Path):
        made = make_certificate(tmp_path, HERE)
        async with (
            target(answer(), tls=made.context()) as server,
            outbound(ca_file=str(made.file)) as client,
        ):
            assert (await get(client, server.url(HERE, scheme="https")))[0] == 200

    async def test_refuses_a_certificate_for_another_name(self, certificate: Certificate):
        async with (
            target(answer(), tls=certificate.context()) as server,
            outbound(ca_file=str(certificate.file)) as client,
        ):
            with pytest.raises(TargetUnreachable):
                await get(client, server.url(HERE, scheme="https"))

    async def test_refuses_a_certificate_that_nobody_signed(self, tmp_path: Path):
        made = make_certificate(tmp_path, HERE)
        async with target(answer(), tls=made.context()) as server, outbound() as client:
            with pytest.raises(TargetUnreachable):
                await get(client, server.url(HERE, scheme="https"))


def endless(start: bytes, piece: bytes, pause: float = 0) -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return reply


HEAD = b"HTTP/1.1 200 OK\r\n"


class TestHostileAnswers:
    async def test_a_body_without_end_is_cut(self):
        async with target(endless(HEAD + b"\r\n", b"x" * 65_536)) as server, outbound() as client:
            with pytest.raises(AnswerTooLarge):
                await get(client, server.url(HERE))

    async def test_a_bomb_is_counted_after_it_unfolds(self):
        bomb = gzip.compress(bytes(50_000_000))
        async with (
            target(answer(body=bomb, content_encoding="gzip")) as server,
            outbound() as client,
        ):
            with pytest.raises(AnswerTooLarge):
                await get(client, server.url(HERE), max_bytes=1_000_000)

    async def test_a_bomb_in_a_bomb_is_not_opened(self):
        bomb = gzip.compress(gzip.compress(bytes(10_000_000)))
        async with (
            target(answer(body=bomb, content_encoding="gzip, gzip")) as server,
            outbound() as client,
        ):
            with pytest.raises(TargetUnreachable):
                await get(client, server.url(HERE))

    async def test_headers_without_end_are_cut(self):
        async with (
            target(endless(HEAD, b"x-a: " + b"b" * 1000 + b"\r\n")) as server,
            outbound() as client,
        ):
            with pytest.raises(OutboundError):
                await get(client, server.url(HERE))

    async def test_large_headers_are_refused(self):
        async with target(answer(x_large="b" * 40_000)) as server, outbound() as client:
            with pytest.raises(AnswerTooLarge):
                await get(client, server.url(HERE))

    @pytest.mark.parametrize(
        ("start", "piece"),
        [
            (HEAD, b"x"),  # a header that never ends
            (HEAD + b"content-length: 100\r\n\r\n", b"x"),
            (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
            (b"", b""),
        ],
        ids=["head", "body", "interim", "silence"],
    )
    async def test_the_whole_takes_no_longer_than_was_said(self, start: bytes, piece: bytes):
        async with target(endless(start, piece, pause=0.05)) as server, outbound() as client:
            with pytest.raises(TargetSilent):
                await get(client, server.url(HERE), timeout=SHORT)

    @pytest.mark.parametrize(
        "junk",
        [
            b"\x00\x01\x02\r\n\r\n",
            b"HTTP/9.9 abc\r\n\r\n",
            b"HTTP/1.1 200\r\na\r\n\r\n",
            b"\r\n" * 9,
        ],
    )
    async def test_what_is_no_http_is_an_answer_of_its_own(self, junk: bytes):
        async def reply(writer: asyncio.StreamWriter) -> None:
            writer.write(junk)
            writer.close()

        async with target(reply) as server, outbound() as client:
            with pytest.raises(TargetUnreachable):
                await get(client, server.url(HERE))

    async def test_cookies_are_not_kept(self):
        async with target(answer(set_cookie="a=b")) as server, outbound() as client:
            await get(client, server.url(HERE))
            await get(client, server.url(HERE))
        assert [heard.headers.get("cookie") for heard in server.heard] == [None, None]

    async def test_an_excerpt_takes_the_start_and_leaves_the_rest(self):
        async with target(endless(HEAD + b"\r\n", b"x" * 65_536)) as server, outbound() as client:
            sent = client.send("GET", server.url(HERE), max_bytes=10, timeout=LONG)
            async with sent as found:
                assert isinstance(found, Answer)
                assert await found.excerpt(5, LONG) == b"xxxxx"


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch):
    async with target(answer()) as proxy, target(answer()) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        async with outbound() as client:
            assert (await get(client, server.url(HERE)))[0] == 200
        assert proxy.connections == 0
