"""Signing in with a provider that lies: forged claims, signatures and answers."""

from typing import Any

import httpx
import pytest

from tests.identity.forger import Forger, make_key
from tests.identity.providers_support import lie

pytestmark = pytest.mark.usefixtures("honest")


class TestLies:
    async def test_honest_answer_passes(self, web: httpx.AsyncClient, liar: Forger):
        assert (await lie(web, liar)).status_code == 200

    @pytest.mark.parametrize(
        "claims",
        [
            {"sub": ""},
            {"sub": " "},
            {"sub": None},
            {"sub": "x" * 256},
            {"aud": "another-client"},
            {"aud": ["our-client", "another-client"]},
            {"aud": ["our-client"], "azp": "another-client"},
            {"aud": None},
            {"iss": "https://evil.example"},
            {"iss": None},
            {"nonce": "another"},
            {"nonce": None},
            {"exp": 1},
            {"exp": None},
            {"iat": 99999999999},
        ],
    )
    async def test_claims(self, web: httpx.AsyncClient, liar: Forger, claims: dict[str, Any]):
        liar.claims = claims
        answer = await lie(web, liar)
        assert (answer.status_code, answer.json()["code"]) == (401, "provider_refused")

    @pytest.mark.parametrize("case", ["none", "hs256", "other key", "unknown kid"])
    async def test_signatures(self, web: httpx.AsyncClient, liar: Forger, case: str):
        match case:
            case "none":
                liar.algorithm = "none"
            case "hs256":
                liar.algorithm, liar.signing = "HS256", "s" * 32
            case "other key":
                liar.signing = make_key()
            case "unknown kid":
                liar.headers = {"kid": "another"}
        answer = await lie(web, liar)
        assert (answer.status_code, answer.json()["code"]) == (401, "provider_refused")

    async def test_answer_of_another_issuer(self, web: httpx.AsyncClient, liar: Forger):
        assert (await lie(web, liar, iss="https://evil.example")).status_code == 401
        assert (await lie(web, liar, iss=liar.issuer)).status_code == 200

    async def test_refused_code_tells_nothing(self, web: httpx.AsyncClient, liar: Forger):
        liar.token_status = 400
        answer = await lie(web, liar)
        assert answer.status_code == 401
        assert "secret detail" not in answer.text
