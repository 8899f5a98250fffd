"""Signing in with others, against a real OpenID provider; what lies is in test_provider_lies.py."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import text

from tests.fixtures.actors import Caller, register, sign_in, unique
from tests.fixtures.outbox import Outbox
from tests.identity.forger import Forger
from tests.identity.providers_support import (
    AUTH,
    Trip,
    come_back,
    consent,
    cookie_of,
    lie,
    set_out,
    with_acme,
)
from tests.identity.test_second_factors import add_totp
from undercroft.app import Application
from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import sha256
from undercroft.foundation.settings import ProviderSettings
from undercroft.identity.auth.providers.presets import make_provider
from undercroft.identity.auth.providers.service import SEAL, challenge_of

VERIFIER = "v" * 43
CHALLENGE = challenge_of(VERIFIER)

pytestmark = pytest.mark.usefixtures("honest")


class TestSignIn:
    async def test_makes_an_account_and_finds_it_again(self, web: httpx.AsyncClient, provider: str):
        email = f"{unique('ada')}@example.com"
        first = await with_acme(web, provider, email, email=email, email_verified=True)
        assert first.status_code == 200, first.text
        user = first.json()["user"]
        assert (user["email"], user["status"]) == (email, "active")
        assert user["email_verified_at"]
        # The address there may change: the subject names the account.
        second = await with_acme(web, provider, email, email="x@y.example", email_verified=True)
        assert second.json()["user"]["id"] == user["id"]
        signed_in = Caller(web, "", "", second.json())
        info = (await signed_in.get(f"{AUTH}/token-info")).json()
        assert info["amr"][0]["method"] == "oauth:acme"
        identities = (await signed_in.get(f"{AUTH}/identities")).json()["items"]
        assert [each["provider"] for each in identities] == ["acme"]
        last = await signed_in.delete(f"{AUTH}/identities/{identities[0]['id']}")
        assert last.status_code == 204

    async def test_goes_on_to_the_application_with_a_code_for_its_verifier(
        self, web: httpx.AsyncClient, provider: str
    ):
        email = f"{unique('spa')}@example.com"
        target = "http://localhost:8000/welcome?x=1"
        trip = await set_out(web, redirect_to=target, code_challenge=CHALLENGE)
        answer = await consent(trip, provider, email, email=email, email_verified=True)
        gone = await come_back(web, answer, trip.cookie)
        assert gone.status_code == 303
        assert gone.headers["location"].startswith(f"{target}&code=")
        code = parse_qs(urlsplit(gone.headers["location"]).query)["code"][0]
        body = {"code": code, "code_verifier": VERIFIER}
        answers = await asyncio.gather(
            *(web.post(f"{AUTH}/exchange", json=body) for _ in range(20))
        )
        assert sorted(a.status_code for a in answers) == [200] + [401] * 19

    async def test_code_with_another_verifier_is_spent(self, web: httpx.AsyncClient, provider: str):
        email = f"{unique('spa')}@example.com"
        target = "https://other.example/back"
        trip = await set_out(web, redirect_to=target, code_challenge=CHALLENGE)
        answer = await consent(trip, provider, email, email=email, email_verified=True)
        gone = await come_back(web, answer, trip.cookie)
        code = parse_qs(urlsplit(gone.headers["location"]).query)["code"][0]
        for verifier in ("w" * 43, VERIFIER):
            body = {"code": code, "code_verifier": verifier}
            assert (await web.post(f"{AUTH}/exchange", json=body)).status_code == 401

    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.example/",
            "http://localhost:8000.evil.example/",
            "http://localhost:8000@evil.example/",
            "//evil.example",
            "http://localhost:8000\\@evil.example",
            "https://other.example/back/../evil",
            "javascript:alert(1)",
        ],
    )
    async def test_refuses_redirects_elsewhere(self, web: httpx.AsyncClient, target: str):
        params = {"redirect_to": target, "code_challenge": CHALLENGE}
        answer = await web.get(f"{AUTH}/authorize/acme", params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, "redirect_refused")

    async def test_redirect_needs_a_challenge(self, web: httpx.AsyncClient):
        params = {"redirect_to": "http://localhost:8000/"}
        assert (await web.get(f"{AUTH}/authorize/acme", params=params)).status_code == 422

    async def test_unknown_provider(self, web: httpx.AsyncClient):
        assert (await web.get(f"{AUTH}/authorize/nobody")).status_code == 404
        names = [each["name"] for each in (await web.get(f"{AUTH}/providers")).json()["items"]]
        assert names == ["acme", "liar", "microsoft"]

    async def test_refusal_goes_on_to_the_application(
        self, client: httpx.AsyncClient, web: httpx.AsyncClient, provider: str
    ):
        squatter = await register(client)
        target = "http://localhost:8000/welcome"
        trip = await set_out(web, redirect_to=target, code_challenge=CHALLENGE)
        answer = await consent(
            trip, provider, unique("refused"), email=squatter.identifier, email_verified=True
        )
        gone = await come_back(web, answer, trip.cookie)
        assert gone.headers["location"] == f"{target}?error=account_exists"


class TestLinking:
    async def test_both_sides_verified_links(
        self, client: httpx.AsyncClient, web: httpx.AsyncClient, provider: str, outbox: Outbox
    ):
        member = await register(client)
        code = await outbox.code(member.identifier)
        body = {"identifier": member.identifier, "channel": "email", "otp": code}
        await member.post(f"{AUTH}/verify-email-and-phone", json=body)
        email = member.identifier.upper()
        answer = await with_acme(web, provider, unique("linked"), email=email, email_verified=True)
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"]["id"] == member.id

    async def test_account_that_nobody_confirmed_is_not_linked(
        self, client: httpx.AsyncClient, web: httpx.AsyncClient, provider: str
    ):
        squatter = await register(client)
        answer = await with_acme(
            web, provider, unique("victim"), email=squatter.identifier, email_verified=True
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "account_exists")

    @pytest.mark.parametrize("verified", [False, None, "yes", 1.5])
    async def test_address_that_the_provider_did_not_verify_counts_for_nothing(
        self,
        client: httpx.AsyncClient,
        web: httpx.AsyncClient,
        liar: Forger,
        outbox: Outbox,
        verified: object,
    ):
        victim = await register(client)
        code = await outbox.code(victim.identifier)
        body = {"identifier": victim.identifier, "channel": "email", "otp": code}
        await victim.post(f"{AUTH}/verify-email-and-phone", json=body)
        liar.claims = {
            "sub": unique("attacker"),
            "email": victim.identifier,
            "email_verified": verified,
        }
        answer = await lie(web, liar)
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"]["id"] != victim.id
        assert answer.json()["user"]["email"] is None

    async def test_microsoft_proves_no_addresses(
        self, client: httpx.AsyncClient, web: httpx.AsyncClient, liar: Forger
    ):
        victim = await register(client)
        liar.claims = {"sub": unique("ms"), "email": victim.identifier, "email_verified": True}
        answer = await lie(web, liar, name="microsoft")
        assert answer.json()["user"]["email"] is None

    async def test_same_subject_at_another_provider_is_somebody_else(
        self, web: httpx.AsyncClient, liar: Forger
    ):
        liar.claims = {"sub": unique("same")}
        first, second = await lie(web, liar), await lie(web, liar, name="microsoft")
        assert first.json()["user"]["id"] != second.json()["user"]["id"]

    async def test_signed_in_person_links_and_unlinks(self, web: httpx.AsyncClient, provider: str):
        member = await register(web)
        begun = await member.post(f"{AUTH}/identities/acme", json={})
        trip = Trip(begun.json()["url"], cookie_of(begun))
        subject = unique("mine")
        answer = await consent(trip, provider, subject, email="any@example.com")
        assert (await come_back(web, answer, trip.cookie)).status_code == 204
        assert (await with_acme(web, provider, subject)).json()["user"]["id"] == member.id
        other = await register(web)
        begun = await other.post(f"{AUTH}/identities/acme", json={})
        trip = Trip(begun.json()["url"], cookie_of(begun))
        taken = await come_back(web, await consent(trip, provider, subject), trip.cookie)
        assert (taken.status_code, taken.json()["code"]) == (409, "identity_taken")
        (linked,) = (await member.get(f"{AUTH}/identities")).json()["items"]
        path = f"{AUTH}/identities/{linked['id']}"
        assert (await other.delete(path)).status_code == 404
        assert (await member.delete(path)).status_code == 204

    @pytest.mark.parametrize("end", ["logout", "logout-all", "change-password"])
    async def test_begun_by_a_session_that_ended_links_nothing(
        self, web: httpx.AsyncClient, provider: str, end: str
    ):
        """A thief's link must not outlive the session it was begun with."""
        thief = await register(web)
        owner = await sign_in(web, thief.identifier) if end == "change-password" else thief
        begun = await thief.post(f"{AUTH}/identities/acme", json={})
        trip = Trip(begun.json()["url"], cookie_of(begun))
        answer = await consent(trip, provider, unique("thief"))
        body = {"current_password": owner.password, "new_password": "Another-Pass-43"}
        ended = await owner.post(f"{AUTH}/{end}", json=body if owner is not thief else None)
        assert ended.is_success, ended.text
        refused = await come_back(web, answer, trip.cookie)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")

    async def test_begun_by_a_session_that_ran_out_links_nothing(
        self, app: Application, web: httpx.AsyncClient, provider: str
    ):
        thief = await register(web)
        begun = await thief.post(f"{AUTH}/identities/acme", json={})
        trip = Trip(begun.json()["url"], cookie_of(begun))
        answer = await consent(trip, provider, unique("late"))
        late = text("UPDATE auth.sessions SET expires_at = now() WHERE id = :id")
        async with app.parts.database.unit_of_work() as session:
            await session.execute(late, {"id": thief.tokens["session_id"]})
        refused = await come_back(web, answer, trip.cookie)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")

    async def test_of_a_deleted_account_opens_nothing(self, web: httpx.AsyncClient, provider: str):
        subject = unique("gone")
        made = Caller(web, "", "", (await with_acme(web, provider, subject)).json())
        gone = await made.post("/api/v1/settings/delete-account?confirm=true")
        assert gone.status_code == 204
        refused = await with_acme(web, provider, subject)
        assert (refused.status_code, refused.json()["code"]) == (403, "account_not_active")

    async def test_only_way_in_stays(self, web: httpx.AsyncClient, liar: Forger):
        liar.claims = {"sub": unique("only")}
        owner = Caller(web, "", "", (await lie(web, liar)).json())
        (linked,) = (await owner.get(f"{AUTH}/identities")).json()["items"]
        answer = await owner.delete(f"{AUTH}/identities/{linked['id']}")
        assert (answer.status_code, answer.json()["code"]) == (409, "last_way_in")


class TestState:
    @pytest.mark.parametrize("case", ["none", "other", "no cookie", "other cookie", "empty"])
    async def test_belongs_to_the_browser(self, web: httpx.AsyncClient, provider: str, case: str):
        trip, other = await set_out(web), await set_out(web)
        answer = await consent(trip, provider, unique("state"), email="a@b.example")
        cookie: str | None = trip.cookie
        match case:
            case "none":
                del answer["state"]
            case "other":
                answer["state"] = other.query["state"]
            case "no cookie":
                cookie = None
            case "other cookie":
                cookie = other.cookie
            case "empty":
                answer["state"] = ""
        refused = await come_back(web, answer, cookie)
        assert (refused.status_code, refused.json()["code"]) == (401, "flow_invalid")

    async def test_works_once(self, web: httpx.AsyncClient, provider: str):
        trip = await set_out(web)
        answer = await consent(trip, provider, unique("once"), email="a@b.example")
        assert (await come_back(web, answer, trip.cookie)).status_code == 200
        assert (await come_back(web, answer, trip.cookie)).status_code == 401

    async def test_of_another_release_is_refused(
        self, app: Application, web: httpx.AsyncClient, provider: str
    ):
        trip = await set_out(web)
        answer = await consent(trip, provider, unique("old"), email="a@b.example")
        strange = app.parts.keyring.seal(SEAL, b'{"nonce": "n", "user_id": null}')
        older = text("UPDATE auth.provider_flows SET sealed = :sealed WHERE state_hash = :state")
        async with app.parts.database.unit_of_work() as session:
            values = {"sealed": strange, "state": sha256(answer["state"])}
            await session.execute(older, values)
        refused = await come_back(web, answer, trip.cookie)
        assert (refused.status_code, refused.json()["code"]) == (401, "flow_invalid")

    async def test_is_of_one_provider(self, web: httpx.AsyncClient, provider: str):
        trip = await set_out(web)
        answer = await consent(trip, provider, unique("mix"), email="a@b.example")
        assert (await come_back(web, answer, trip.cookie, name="liar")).status_code == 401

    async def test_is_no_credential(self, web: httpx.AsyncClient):
        state = (await set_out(web)).query["state"]
        body = {"token": state, "new_password": "Another-Pass-43"}
        assert (await web.post(f"{AUTH}/password-reset/confirm", json=body)).status_code == 401
        body = {"code": state, "code_verifier": VERIFIER}
        assert (await web.post(f"{AUTH}/exchange", json=body)).status_code == 401
        body = {"refresh_token": state}
        assert (await web.post(f"{AUTH}/refresh", json=body)).status_code == 401

    async def test_sends_pkce_and_nonce(self, web: httpx.AsyncClient):
        query = (await set_out(web)).query
        assert query["code_challenge_method"] == "S256"
        assert len(query["nonce"]) >= 32
        assert len(query["state"]) >= 32
        assert query["redirect_uri"] == "http://localhost:8000/api/v1/auth/callback/acme"

    async def test_refusal_of_the_person(self, web: httpx.AsyncClient):
        trip = await set_out(web)
        answer = {"state": trip.query["state"], "error": "access_denied"}
        refused = await come_back(web, answer, trip.cookie)
        assert (refused.status_code, refused.json()["code"]) == (401, "provider_refused")


async def test_second_factor_is_asked_for_all_the_same(web: httpx.AsyncClient, liar: Forger):
    liar.claims = {"sub": unique("mfa")}
    owner = Caller(web, "", "", (await lie(web, liar)).json())
    await add_totp(owner)
    again = Caller(web, "", "", (await lie(web, liar)).json())
    assert again.tokens["second_factors"] == ["totp"]
    assert (await again.get("/api/v1/users/me")).status_code == 403


def test_apple_secret_is_a_token_signed_with_its_key():
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    settings = ProviderSettings(client_id="app", client_secret=pem, team_id="T", key_id="K")
    apple = make_provider("apple", settings)
    secret = apple.secret(utc_now())
    assert secret
    claims = jwt.decode(secret, key.public_key(), ["ES256"], audience="https://appleid.apple.com")
    assert (claims["iss"], claims["sub"]) == ("T", "app")
    assert apple.posts_back
