"""Sentry and OpenTelemetry against a local stand-in that takes what they send."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.fixtures.served import Served, serving, wait_until
from undercroft.foundation.embedded import EmbeddedEngines, Home
from undercroft.foundation.settings import load_settings


class Collector(ThreadingHTTPServer):
    """Remembers the path and size of everything posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.taken: list[tuple[str, int]] = []


class _Take(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:  # noqa: N802 - the library's name
        size = int(self.headers.get("content-length") or 0)
        self.server.taken.append((self.path, len(self.rfile.read(size))))
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
    return any(taken.startswith(path) and size for taken, size in collector.taken)


def test_failures_and_traces_arrive(collector: Collector, tmp_path: Path):
    port = collector.server_address[1]
    wanted = {
        "SENTRY_DSN": f"http://key@127.0.0.1:{port}/1",
        "UNDERCROFT_OBSERVABILITY__OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
    }
    with serving(tmp_path / "home", "--workers", "1", **wanted) as served:
        assert served.get("/api/v1/auth/providers") == 200
        break_a_table(served)
        wait_until(lambda: took(collector, "/api/1/envelope"), "the failure is reported")
    assert took(collector, "/v1/traces")


def break_a_table(served: Served) -> None:
    """Something nobody foresees: a table of ours has another name."""
    settings = load_settings(home=served.home, _env_file=None)
    engine = EmbeddedEngines(Home(served.home), settings).postgres
    assert engine
    engine.as_superuser("ALTER TABLE auth.refresh_tokens RENAME TO elsewhere")
    body = {"refresh_token": "any"}
    answer = httpx.post(f"{served.url}/api/v1/auth/refresh", json=body, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
