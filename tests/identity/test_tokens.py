"""Tokens that must not open anything, and how fast real ones stop doing so."""

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text

from tests.fixtures.actors import Caller, register, sign_in, turned_away
from tests.fixtures.app import PASSWORD, make_client, running
from tests.fixtures.engines import EngineAddresses
from undercroft.app import Application, create_app
from undercroft.foundation.settings import Settings

ME = "/api/v1/users/me"
ROWS = "/rest/v1/anything"


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@pytest.fixture
def forged(member: Caller) -> dict[str, str]:
    """Wrong tokens by what is wrong with them; all else is as in a real one."""
    real = member.tokens["access_token"]
    claims, kid = claims_of(real), kid_of(real)
    own = ec.generate_private_key(ec.SECP256R1())

    def signed(changed: dict[str, Any], **options: Any) -> str:
        key = options.pop("key", own)
        algorithm = options.pop("algorithm", "ES256")
        return jwt.encode(claims | changed, key, algorithm, headers={"kid": kid} | options)

    head, body, signature = real.split(".")
    return {
        "nothing": "",
        "words": "not a token",
        "two parts": "a.b",
        "own signature": signed({}),
        "unknown kid": signed({}, kid="0" * 32),
        "kid is a path": signed({}, kid="../../etc/passwd"),
        "alg none": f"{part({'alg': 'none', 'kid': kid})}.{part(claims)}.",
        "hmac with the kid": signed({}, key="k" * 32, algorithm="HS256"),
        "cut signature": f"{head}.{body}.{signature[:-4]}",
        "other body": f"{head}.{part(claims | {'sub': str(uuid4())})}.{signature}",
        "huge": real + "A" * 9000,
    }


async def test_forged_tokens_open_nothing(member: Caller, forged: dict[str, str]):
    for what, token in forged.items():
        headers = {"Authorization": f"Bearer {token}"}
        for path in (ME, ROWS):
            answer = await member.client.get(path, headers=headers)
            assert answer.status_code == 401, (what, path)
            assert "www-authenticate" in answer.headers


async def test_public_key_is_no_hmac_secret(member: Caller):
    """The classic confusion: HS256 over the published key."""
    jwks = (await member.client.get("/.well-known/jwks.json")).json()["keys"]
    key = jwt.PyJWK(jwks[0]).key
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = claims_of(member.tokens["access_token"])
    header = part({"alg": "HS256", "typ": "JWT", "kid": jwks[0]["kid"]})
    signed = f"{header}.{part(claims)}"
    mac = base64.urlsafe_b64encode(hmac.new(pem, signed.encode(), hashlib.sha256).digest())
    token = f"{signed}.{mac.rstrip(b'=').decode()}"
    answer = await member.client.get(ME, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 1},
        {"iat": 4_000_000_000, "nbf": 4_000_000_000},
        {"iss": "somebody else"},
        {"aud": "another"},
        {"token_type": "refresh"},
        {"token_type": "reset"},
        {"session_id": str(uuid4())},
        {"sub": str(uuid4())},
        {"sub": "' OR 1=1 --"},
        {"session_id": None},
    ],
)
async def test_genuine_signature_is_not_enough(
    app: Application, member: Caller, change: dict[str, Any]
):
    identity = app.control.state.identity
    key = await identity.keys.newest()
    claims = claims_of(member.tokens["access_token"]) | change
    token = jwt.encode(claims, key.signing, key.algorithm, headers={"kid": key.kid})
    answer = await member.client.get(ME, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_each_door_takes_only_its_own_tokens(
    client: httpx.AsyncClient, member: Caller, api_keys: dict[str, str]
):
    tokens = member.tokens
    session = await client.get(ME, headers={"X-Session-Token": tokens["session_token"]})
    assert session.status_code == 200
    bearer = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    assert (await client.get(ME, headers=bearer)).status_code == 401
    for wrong in (tokens["access_token"], tokens["session_token"], api_keys["anon"]):
        refused = await client.post("/api/v1/auth/refresh", json={"refresh_token": wrong})
        assert refused.status_code == 401
    assert (await client.get(f"{ME}?access_token={tokens['access_token']}")).status_code == 401
    anon = {"Authorization": f"Bearer {api_keys['anon']}"}
    assert (await client.get(ME, headers=anon)).status_code == 401


async def test_suspension_ends_everything_at_once(member: Caller, admin: Caller):
    assert (await member.get(ME)).status_code == 200
    assert (await admin.post(f"/api/v1/users/{member.id}/suspend")).status_code == 200
    assert await turned_away(member)
    refresh = {"refresh_token": member.tokens["refresh_token"]}
    assert (await member.client.post("/api/v1/auth/refresh", json=refresh)).status_code == 401
    body = {"identifier": member.identifier, "password": member.password}
    assert (await member.client.post("/api/v1/auth/login", json=body)).status_code == 403
    assert (await admin.post(f"/api/v1/users/{member.id}/activate")).status_code == 200
    assert (await sign_in(member.client, member.identifier)).id == member.id


async def test_a_new_password_ends_the_other_sessions(member: Caller):
    other = await sign_in(member.client, member.identifier)
    assert (await other.get(ME)).status_code == 200
    change = {"current_password": PASSWORD, "new_password": "Another-Horse-43"}
    assert (await member.patch(f"{ME}/password", json=change)).status_code == 204
    assert await turned_away(other)
    assert (await member.get(ME)).status_code == 200
    assert (await member.patch(f"{ME}/password", json=change)).status_code == 403


async def test_a_used_refresh_token_ends_its_family(app: Application, client: httpx.AsyncClient):
    thief = await register(client)
    first = {"refresh_token": thief.tokens["refresh_token"]}
    renewed = (await client.post("/api/v1/auth/refresh", json=first)).json()
    async with app.parts.database.unit_of_work() as session:
        late = text(
            "UPDATE auth.refresh_tokens SET used_at = used_at - interval '31 seconds'"
            " WHERE session_id = :id AND used_at IS NOT NULL"
        )
        await session.execute(late, {"id": thief.tokens["session_id"]})
    reused = await client.post("/api/v1/auth/refresh", json=first)
    assert (reused.status_code, reused.json()["code"]) == (401, "refresh_token_reused")
    current = {"refresh_token": renewed["refresh_token"]}
    assert (await client.post("/api/v1/auth/refresh", json=current)).status_code == 401
    thief.tokens = renewed
    assert await turned_away(thief)


async def test_sessions_are_listed_and_ended_by_their_owner_only(member: Caller, outsider: Caller):
    other = await sign_in(member.client, member.identifier)
    listed = (await member.get("/api/v1/sessions")).json()["items"]
    assert [entry["is_current"] for entry in listed].count(True) == 1
    assert {entry["id"] for entry in listed} == {
        member.tokens["session_id"],
        other.tokens["session_id"],
    }
    path = f"/api/v1/sessions/{other.tokens['session_id']}"
    assert (await outsider.delete(path)).status_code == 404
    assert (await member.delete(path)).status_code == 204
    assert (await member.delete(path)).status_code == 404
    assert await turned_away(other)


async def test_fifty_registrations_of_one_identifier_make_one_account(
    app: Application, client: httpx.AsyncClient
):
    identifier = f"race{uuid4().hex}@example.com"
    bodies = [{"identifier": identifier, "password": f"Racing-Horse-{n}00"} for n in range(50)]
    answers = await asyncio.gather(
        *(client.post("/api/v1/auth/register", json=body) for body in bodies)
    )
    assert {answer.status_code for answer in answers} == {201}
    async with app.parts.database.unit_of_work() as session:
        found = text("SELECT count(*) FROM auth.users WHERE email = :email")
        assert await session.scalar(found, {"email": identifier}) == 1
    opened = [
        (await client.post("/api/v1/auth/login", json=body)).status_code for body in bodies[:3]
    ]
    assert opened.count(200) <= 1


async def test_failures_lock_the_pair_of_identifier_and_address(member: Caller):
    wrong = {"identifier": member.identifier, "password": "Wrong-Horse-0000"}
    right = wrong | {"password": member.password}
    login = "/api/v1/auth/login"
    for _ in range(5):
        assert (await member.client.post(login, json=wrong)).status_code == 401
    locked = await member.client.post(login, json=right)
    assert (locked.status_code, locked.json()["code"]) == (429, "sign_in_locked")
    assert int(locked.headers["retry-after"]) > 0


async def test_the_form_of_oauth2_signs_in_too(member: Caller):
    form = {"username": member.identifier, "password": member.password, "grant_type": "password"}
    answer = await member.client.post("/api/v1/auth/login", data=form)
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "bearer"


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("Short-1a", "too_short"),
        ("alllowercase12", "too_short"),
        ("Password123!", "too_common"),
        ("qwertyuiop123456", "too_common"),
        ("x" * 1025, "too_long"),
    ],
)
async def test_weak_passwords_are_refused_with_the_reason(
    client: httpx.AsyncClient, password: str, code: str
):
    body = {"identifier": f"weak{uuid4().hex}@example.com", "password": password}
    answer = await client.post("/api/v1/auth/register", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == code


async def test_tokens_bound_to_an_origin_work_from_there_only(
    engines: EngineAddresses, database: str, settings: Settings, member: Caller
):
    bound = settings.auth.model_copy(update={"bind_origin": True})
    app = create_app(engines.settings(database, auth=bound))
    body = {"identifier": member.identifier, "password": member.password}
    home, elsewhere = {"Origin": "https://app.example.com"}, {"Origin": "https://evil.example.com"}
    async with running(app), make_client(app) as client:
        tokens = (await client.post("/api/v1/auth/login", json=body, headers=home)).json()
        for name, header in (("access_token", "Authorization"), ("session_token", None)):
            credential = (
                {header: f"Bearer {tokens[name]}"} if header else {"X-Session-Token": tokens[name]}
            )
            for origin, status in ((home, 200), (elsewhere, 401), ({}, 401)):
                answer = await client.get("/api/v1/users/me", headers=credential | origin)
                assert answer.status_code == status, (name, origin)
        refresh = {"refresh_token": tokens["refresh_token"]}
        for origin, status in ((elsewhere, 401), ({}, 401), (home, 200), (elsewhere, 401)):
            answer = await client.post("/api/v1/auth/refresh", json=refresh, headers=origin)
            assert answer.status_code == status, origin
