"""Sentry and OpenTelemetry against a local stand-in that takes what they send."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.fixtures.served import Served, command, serving, wait_until
from undercroft.foundation.embedded import EmbeddedEngines, Home
from undercroft.foundation.settings import load_settings


class Collector(ThreadingHTTPServer):
    """Remembers the path and content of everything posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.taken: list[tuple[str, bytes]] = []


class _Take(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:  # noqa: N802 - the library's name
        size = int(self.headers.get("content-length") or 0)
        content = self.rfile.read(size)
        if self.headers.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        self.server.taken.append((self.path, content))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    yield collector
    collector.shutdown()
    thread.join()
    collector.server_close()


def took(collector: Collector, path: str) -> bool:
    return any(taken.startswith(path) and content for taken, content in collector.taken)


def heard(collector: Collector, words: str) -> bool:
    envelopes = [content for path, content in collector.taken if path.startswith("/api/1/envelope")]
    return any(words.encode() in content for content in envelopes)


def test_failures_and_traces_arrive(collector: Collector, tmp_path: Path):
    port = collector.server_address[1]
    wanted = {
        "SENTRY_DSN": f"http://key@127.0.0.1:{port}/1",
        "UNDERCROFT_OBSERVABILITY__OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
    }
    with serving(tmp_path / "home", "--workers", "1", **wanted) as served:
        assert served.get("/api/v1/auth/providers") == 200
        try_sentry(served, collector)
        break_tables(served)
        wait_until(lambda: took(collector, "/api/1/envelope"), "the failure is reported")
        wait_until(lambda: heard(collector, "refresh_tokens"), "the failure is named")
        wait_until(lambda: heard(collector, "activity_seals"), "that of a job is, too")
    assert took(collector, "/v1/traces")


def try_sentry(served: Served, collector: Collector) -> None:
    """Each kind arrives under the id that was answered; the unhandled one is a 500 and arrives."""
    keys = json.loads(command("keys", "show", "--json", "--home", str(served.home)).stdout)
    headers = {"apikey": keys["service"]}
    path = f"{served.url}/api/v1/health/test-sentry"
    for kind in ("exception", "message", "async"):
        answer = httpx.get(path, params={"type": kind}, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        event = answer.json()["event_id"]
        wait_until(lambda event=event: heard(collector, event), f"{kind} arrives")  # type: ignore[misc]
    unhandled = httpx.get(path, params={"type": "unhandled"}, headers=headers, timeout=30)
    assert (unhandled.status_code, unhandled.json()["code"]) == (500, "internal_error")
    wait_until(lambda: heard(collector, "nothing is wrong: unhandled"), "the unhandled one arrives")


def break_tables(served: Served) -> None:
    """Something nobody foresees: tables of ours, one of a route and one of a job, are renamed."""
    settings = load_settings(home=served.home, _env_file=None)
    engine = EmbeddedEngines(Home(served.home), settings).postgres
    assert engine
    engine.as_superuser(
        "ALTER TABLE auth.refresh_tokens RENAME TO elsewhere;"
        "ALTER TABLE operations.activity_seals RENAME TO elsewhere"
    )
    nonsense = {"Authorization": "Bearer nonsense"}  # an entry to be sealed
    assert httpx.get(f"{served.url}/api/v1/users", headers=nonsense).status_code == 401
    body = {"refresh_token": "any"}
    answer = httpx.post(f"{served.url}/api/v1/auth/refresh", json=body, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
