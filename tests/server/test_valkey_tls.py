"""Valkey by TLS: a front that ends it stands before the real ones."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from valkey import Valkey

from tests.apps.test_valkey_clusters import _answers as answers
from tests.apps.test_valkey_clusters import _free_port as free_port
from tests.fixtures.certificates import Certificate, make_certificate
from tests.fixtures.engines import EngineAddresses
from tests.fixtures.served import wait_until
from tests.fixtures.tls import Front, tls_before
from undercroft.cli.checks.cache import cache_finding
from undercroft.foundation.cache import Cache, RateLimiter
from undercroft.foundation.cache.tls import advice_for
from undercroft.foundation.embedded.programs import valkey_program
from undercroft.foundation.problems import SettingsInvalid, TooManyRequests
from undercroft.foundation.settings import CacheSettings, RateLimitSettings

PATIENCE = timedelta(seconds=20)  # a busy machine answers late


@pytest.fixture
def front(engines: EngineAddresses, certificate: Certificate) -> Iterator[Front]:
    with tls_before(certificate.context(), path=urlsplit(engines.cache_url).path) as front:
        yield front


def url_of(front: Front, engines: EngineAddresses, host: str = "localhost", query: str = "") -> str:
    return f"rediss://:{urlsplit(engines.cache_url).password}@{host}:{front.port}/0{query}"


async def refusal(url: str, timeout: timedelta = PATIENCE, **files: Path) -> str:
    """Why there is no connection; empty when there is one."""
    cache = Cache(CacheSettings(url=SecretStr(url), timeout=timeout, **files))  # type: ignore[arg-type]
    try:
        await cache.client.ping()
    except cache.ERRORS as error:
        return f"{error} {advice_for(url, error)}"
    finally:
        await cache.close()
    return ""


class TestOneServer:
    async def test_is_trusted_by_the_file_that_names_who_signed(
        self, front: Front, engines: EngineAddresses, certificate: Certificate
    ):
        assert await refusal(url_of(front, engines), ca_file=certificate.file) == ""
        assert front.handshakes == 1

    async def test_is_not_trusted_without(self, front: Front, engines: EngineAddresses):
        said = await refusal(url_of(front, engines))
        assert "CERTIFICATE_VERIFY_FAILED" in said
        assert "UNDERCROFT_CACHE__CA_FILE" in said

    async def test_must_have_the_name_that_is_asked_for(
        self, front: Front, engines: EngineAddresses, certificate: Certificate
    ):
        address = url_of(front, engines, host="127.0.0.1")
        assert "must name the server" in await refusal(address, ca_file=certificate.file)

    async def test_is_believed_anything_when_told_so(self, front: Front, engines: EngineAddresses):
        anyone = url_of(front, engines, host="127.0.0.1", query="?ssl_cert_reqs=none")
        assert await refusal(anyone) == ""

    async def test_may_ask_for_our_certificate(
        self, front: Front, engines: EngineAddresses, certificate: Certificate, tmp_path: Path
    ):
        ours = make_certificate(tmp_path, "undercroft")
        front.context.load_verify_locations(ours.file)
        front.context.verify_mode = ssl.CERT_REQUIRED
        url, shown = url_of(front, engines), {"cert_file": ours.file, "key_file": ours.key}
        assert "asks for a certificate" in await refusal(url, ca_file=certificate.file)
        assert await refusal(url, ca_file=certificate.file, **shown) == ""

    async def test_that_speaks_no_tls_is_told_so(self, certificate: Certificate, tmp_path: Path):
        with _valkey(tmp_path) as port:
            url, soon = f"rediss://localhost:{port}", timedelta(seconds=1)
            said = await refusal(url, timeout=soon, ca_file=certificate.file)
        assert "does not speak TLS" in said

    @pytest.mark.parametrize("name", ["ca_file", "cert_file"])
    def test_a_file_that_is_none_is_named_at_the_start(self, name: str, tmp_path: Path):
        wrong = tmp_path / "wrong.pem"
        for cause in ("No such file", "no PEM"):
            settings = CacheSettings(url=SecretStr("rediss://x"), **{name: wrong})  # type: ignore[arg-type]
            with pytest.raises(SettingsInvalid, match=f"UNDERCROFT_CACHE__{name.upper()}.*{cause}"):
                Cache(settings)
            wrong.write_text("nothing")


async def test_a_cluster(tmp_path: Path):
    """Its nodes name themselves, by an address that is the front's."""
    shown = make_certificate(tmp_path, "127.0.0.1")
    with ExitStack() as stack:
        front = stack.enter_context(tls_before(shown.context()))
        options = ("--cluster-enabled", "yes", "--cluster-announce-port", str(front.port))
        port = stack.enter_context(_valkey(tmp_path, *options))
        front.connect_to(port)
        node = stack.enter_context(Valkey(port=port))
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: b"state:ok" in node.execute_command("CLUSTER", "INFO"), "it is whole")
        url = SecretStr(f"rediss+cluster://127.0.0.1:{front.port}")
        settings = CacheSettings(url=url, ca_file=shown.file, timeout=PATIENCE)
        cache = Cache(settings)
        limiter = RateLimiter(RateLimitSettings(login="1/hour"), cache)
        messenger = cache.messenger()
        assert await cache.ping()
        assert await messenger.ping()
        await limiter.hit("login", "somebody")
        with pytest.raises(TooManyRequests):
            await limiter.hit("login", "somebody")
        assert await cache.client.keys("*limits*") != []
        await messenger.aclose()
        await limiter.close()
        await cache.close()


async def test_the_doctor_says_what_is_wrong(
    front: Front, engines: EngineAddresses, certificate: Certificate
):
    url = SecretStr(url_of(front, engines))
    found = await cache_finding(CacheSettings(url=url, timeout=PATIENCE))
    assert found.level == "warn"
    assert found.advice.startswith("Name who signed its certificate in UNDERCROFT_CACHE__CA_FILE.")
    known = CacheSettings(url=url, ca_file=certificate.file, timeout=PATIENCE)
    assert (await cache_finding(known)).level == "ok"


@contextmanager
def _valkey(directory: Path, *options: str) -> Iterator[int]:
    """A bundled server on a port, without a password."""
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), *options]
    process = subprocess.Popen([valkey_program(), *arguments], stdout=subprocess.DEVNULL)
    try:
        with Valkey(port=port) as client:
            wait_until(lambda: answers(client), "it answers")
        yield port
    finally:
        process.kill()
        process.wait()
