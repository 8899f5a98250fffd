"""Health behind permissions, what /metrics tells, and the files that are made for it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.fixtures.actors import Caller, make_group, promoted, sign_in
from undercroft.app import Application
from undercroft.foundation.db import Database
from undercroft.foundation.settings import DatabaseSettings

API = "/api/v1"
REPOSITORY = Path(__file__).parents[2]
METRIC = re.compile(r"\bundercroft_\w+")


class TestHealth:
    @pytest.mark.parametrize("part", ["system", "database", "storage"])
    async def test_needs_the_permission(self, part: str, client: httpx.AsyncClient, member: Caller):
        assert (await client.get(f"{API}/health/{part}")).status_code == 401
        assert (await member.get(f"{API}/health/{part}")).status_code == 403

    async def test_of_the_machine(self, admin: Caller):
        body = (await admin.get(f"{API}/health/system")).json()
        info = body["system_info"]
        assert info["cpu_count"] >= 1
        assert 0 < info["memory_available"] < info["memory_total"]
        assert 0 <= info["disk_percent"] <= 100
        assert body["environment"]["mode"] == "api/v1"

    async def test_of_the_database(self, admin: Caller):
        response = await admin.get(f"{API}/health/database")
        body = response.json()
        assert response.status_code == 200
        assert body["status"] == "ok"
        assert body["milliseconds"] >= 0
        assert body["size_bytes"] > 0
        assert 0 < body["connections"] <= body["max_connections"]
        assert body["pool"]["in_use"] >= 1

    async def test_of_the_storage(self, app: Application, admin: Caller):
        assert (await admin.get(f"{API}/health/storage")).json()["status"] == "ok"
        good = app.parts.probes["storage"]

        async def full() -> None:
            raise OSError("No space left on device")

        app.parts.probes["storage"] = full
        try:
            response = await admin.get(f"{API}/health/storage")
            metrics = (await admin.client.get("/metrics")).text
        finally:
            app.parts.probes["storage"] = good
        assert (response.status_code, response.json()["status"]) == (503, "down")
        assert "No space" not in response.text
        assert 'undercroft_up{part="storage"} 0.0' in metrics

    async def test_a_lost_database_takes_the_node_out(
        self, app: Application, client: httpx.AsyncClient
    ):
        good = app.parts.database
        nowhere = DatabaseSettings(url="postgresql://x@127.0.0.1:9/x")  # type: ignore[arg-type]
        app.parts.database = Database(nowhere)
        try:
            ready, live, health = [
                (await client.get(path)).status_code
                for path in ("/health/ready", "/health/live", "/health")
            ]
            metrics = await client.get("/metrics")
        finally:
            app.parts.database = good
        assert (ready, live, health) == (503, 200, 503)
        assert 'undercroft_up{part="database"} 0.0' in metrics.text

    async def test_a_stopping_node_is_not_ready(self, app: Application, client: httpx.AsyncClient):
        assert (await client.get("/health/ready")).status_code == 200
        app.parts.stopping = True
        try:
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200
        finally:
            app.parts.stopping = False


class TestSentry:
    async def test_says_when_there_is_none(self, admin: Caller, member: Caller):
        response = await admin.get(f"{API}/health/test-sentry")
        assert (response.status_code, response.json()["code"]) == (409, "sentry_not_configured")
        assert (await member.get(f"{API}/health/test-sentry")).status_code == 403
        wrong = await admin.get(f"{API}/health/test-sentry", params={"type": "bomb"})
        assert wrong.status_code == 422

    async def test_reading_health_is_not_testing_it(self, admin: Caller, member: Caller):
        await promoted(admin, member, await make_group(admin, "health:read"))
        again = await sign_in(member.client, member.identifier)
        assert (await again.get(f"{API}/health/system")).status_code == 200
        assert (await again.get(f"{API}/health/test-sentry")).status_code == 403


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _panels() -> list[dict[str, Any]]:
    return list(json.loads((REPOSITORY / "deploy/grafana/undercroft.json").read_text())["panels"])


def _names(expressions: Iterator[str]) -> set[str]:
    return {name for expression in expressions for name in METRIC.findall(expression)}


class TestMetrics:
    async def test_all_that_our_dashboards_and_alerts_ask_for_is_there(
        self, client: httpx.AsyncClient, member: Caller
    ):
        assert (await member.get(f"{API}/users")).status_code == 403
        text = (await client.get("/metrics")).text
        told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
        told |= {f"{name}_bucket" for name in told}
        asked = _names(target["expr"] for panel in _panels() for target in panel["targets"])
        asked |= _names(rule["expr"] for rule in _rules())
        assert len(asked) > 12
        assert asked <= told, asked - told

    async def test_sign_ins_are_counted_by_outcome(self, client: httpx.AsyncClient, member: Caller):
        def failed(text: str) -> float:
            line = r'^undercroft_sign_ins_total{method="password",outcome="failed"} (\S+)'
            found = re.search(line, text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        before = failed((await client.get("/metrics")).text)
        body = {"identifier": member.identifier, "password": "Wrong-Horse-42"}
        await client.post(f"{API}/auth/login", json=body)
        assert failed((await client.get("/metrics")).text) == before + 1

    def test_every_alert_says_what_and_how_bad(self):
        for rule in _rules():
            assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
            assert rule["annotations"]["summary"].endswith((".", "?", "`.")), rule["alert"]
            guide = (REPOSITORY / "docs/guides/operating.md").read_text()
            assert rule["alert"] in guide, f"{rule['alert']} is not in the guide"
