"""Tokens of the drop-in: keys, claims, roles, and how each refusal reads."""

import base64
import hmac
import time
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from undercroft.data.rest import RestError
from undercroft.data.rest.standalone.claim_path import find_claim, parse_claim_path, show_claim_path
from undercroft.data.rest.standalone.settings import InvalidSettingError, JwtSettings
from undercroft.data.rest.standalone.tokens import TokenVerifier

SECRET = "reallyreallyreallyreallyverysafe"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def sign(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, **more)


def octets(secret: str, **more: str) -> dict[str, str]:
    """Write a secret as a JWK."""
    encoded = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    return {"kty": "oct", "k": encoded, **more}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def verifier(anon: str | None = "anon", **settings: Any) -> TokenVerifier:
    return TokenVerifier(JwtSettings(**{"secret": SECRET, **settings}), anon)


async def refusal(check: TokenVerifier, headers: dict[str, str]) -> RestError:
    with pytest.raises(RestError) as caught:
        await check(headers)
    return caught.value


class TestCallers:
    async def test_nobody_is_the_anonymous_role(self):
        for headers in ({}, {"authorization": "Basic abc"}):
            caller = await verifier()(headers)
            assert (caller.role, orjson.loads(caller.claims)) == ("anon", {"role": "anon"})

    async def test_nobody_without_an_anonymous_role(self):
        error = await refusal(verifier(anon=None), {})
        assert (error.status, error.code) == (401, "PGRST302")
        assert error.message == "Anonymous access is disabled"
        assert error.headers == ((b"www-authenticate", b"Bearer"),)

    async def test_role_and_claims_of_a_token(self):
        check = verifier()
        for scheme in ("Bearer", "bearer"):
            token = sign({"role": "author", "sub": "ada", "n": 1})
            caller = await check({"authorization": f"{scheme} {token}"})
            assert caller.role == "author"
            assert orjson.loads(caller.claims) == {"role": "author", "sub": "ada", "n": 1}

    async def test_a_token_without_a_role_is_anonymous(self):
        caller = await verifier()(bearer(sign({"sub": "ada"})))
        assert orjson.loads(caller.claims) == {"role": "anon", "sub": "ada"}
        error = await refusal(verifier(anon=None), bearer(sign({"sub": "ada"})))
        assert error.code == "PGRST302"

    async def test_no_secret(self):
        error = await refusal(verifier(secret=None), bearer(sign({})))
        assert (error.status, error.code) == (500, "PGRST300")
        assert error.message == "Server lacks JWT secret"
        assert (await verifier(secret=None)({})).role == "anon"


class TestKeys:
    async def test_secret_in_base64(self):
        secret = b"\xff\xfe" * 20
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            check = verifier(secret=encode(secret).decode(), secret_is_base64=True)
            assert (await check(bearer(sign({"role": "a"}, secret)))).role == "a"

    async def test_a_text_is_for_hs256(self):
        secret = SECRET * 2
        assert (await verifier(secret=secret)(bearer(sign({"role": "a"}, secret)))).role == "a"
        token = sign({"role": "a"}, secret, "HS512")
        error = await refusal(verifier(secret=secret), bearer(token))
        assert error.details == "No suitable key was found to decode the JWT"

    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    async def test_a_jwk_without_alg_is_for_its_family(self, algorithm: str):
        secret = SECRET * 2
        check = verifier(secret=orjson.dumps(octets(secret)).decode())
        assert (await check(bearer(sign({"role": "a"}, secret, algorithm)))).role == "a"

    async def test_a_jwk_may_be_in_base64(self):
        secret = base64.b64encode(orjson.dumps(octets(SECRET))).decode()
        check = verifier(secret=secret, secret_is_base64=True)
        assert (await check(bearer(sign({"role": "a"})))).role == "a"

    async def test_a_named_key_is_the_only_one_tried(self):
        keys = [octets(SECRET, kid="one"), octets(SECRET * 2, kid="two")]
        check = verifier(secret=orjson.dumps({"keys": keys}).decode())
        for secret, kid in ((SECRET, "one"), (SECRET * 2, "two"), (SECRET * 2, None)):
            token = sign({"role": "a"}, secret, headers={"kid": kid} if kid else None)
            assert (await check(bearer(token))).role == "a"
        error = await refusal(check, bearer(sign({}, headers={"kid": "three"})))
        assert error.details == "No suitable key was found to decode the JWT"
        error = await refusal(check, bearer(sign({}, headers={"kid": "two"})))
        assert error.details == "None of the keys was able to decode the JWT"
        error = await refusal(verifier(), bearer(sign({}, headers={"kid": "one"})))
        assert error.details == "No suitable key was found to decode the JWT"

    async def test_a_key_for_encryption_is_not_used(self):
        secret = orjson.dumps({"keys": [octets(SECRET, use="enc")]}).decode()
        error = await refusal(verifier(secret=secret), bearer(sign({"role": "a"})))
        assert error.details == "No suitable key was found to decode the JWT"

    @pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "ES256", "EdDSA"])
    async def test_a_public_jwk(self, algorithm: str):
        if algorithm.startswith("RS"):
            key: Any = RSA
            jwk = RSAAlgorithm.to_jwk(key.public_key())
        elif algorithm == "ES256":
            key = ec.generate_private_key(ec.SECP256R1())
            jwk = ECAlgorithm.to_jwk(key.public_key())
        else:
            key = ed25519.Ed25519PrivateKey.generate()
            jwk = OKPAlgorithm.to_jwk(key.public_key())
        check = verifier(secret=jwk)
        assert (await check(bearer(sign({"role": "a"}, key, algorithm)))).role == "a"

    async def test_a_symmetric_jwk(self):
        check = verifier(secret=orjson.dumps(octets(SECRET)).decode())
        assert (await check(bearer(sign({"role": "a"})))).role == "a"

    async def test_a_set_of_keys(self):
        keys = [
            {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "one"},
            octets(SECRET, kid="two"),
        ]
        check = verifier(secret=orjson.dumps({"keys": keys}).decode())
        assert (await check(bearer(sign({"role": "a"})))).role == "a"
        token = sign({"role": "b"}, RSA, "RS256", headers={"kid": "one"})
        assert (await check(bearer(token))).role == "b"

    async def test_a_public_key_is_no_hmac_secret(self):
        jwk = RSAAlgorithm.to_jwk(RSA.public_key())
        head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=")
        body = base64.urlsafe_b64encode(b'{"role":"admin"}').rstrip(b"=")
        signature = hmac.digest(jwk.encode(), head + b"." + body, "sha256")
        forged = b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()
        error = await refusal(verifier(secret=jwk), bearer(forged))
        assert error.code == "PGRST301"

    def test_short_and_broken_secrets(self):
        for settings in (
            {"secret": "short"},
            {"secret": "%%%" * 20, "secret_is_base64": True},
            {"secret": '{"kty": "RSA"}'},
            {"secret": '{"keys": ["x"]}'},
            {"secret": '{"keys": "x"}'},
        ):
            with pytest.raises(InvalidSettingError):
                verifier(**settings)


class TestRefusals:
    @pytest.mark.parametrize(
        ("token", "message", "details"),
        [
            ("", "Empty JWT is sent in Authorization header", None),
            ("a.b", "Expected 3 parts in JWT; got 2", None),
            ("a.b.c.d", "Expected 3 parts in JWT; got 4", None),
            (
                sign({"role": "a"}, "another secret of a good length, 32"),
                "No suitable key or wrong key type",
                "None of the keys was able to decode the JWT",
            ),
            (
                jwt.encode({"role": "a"}, None, algorithm="none"),
                "Wrong or unsupported encoding algorithm",
                "JWT is unsecured but expected 'alg' was not 'none'",
            ),
            (
                sign({"role": "a"}, RSA, "RS256"),
                "No suitable key or wrong key type",
                "No suitable key was found to decode the JWT",
            ),
        ],
    )
    async def test_undecodable(self, token: str, message: str, details: str | None):
        error = await refusal(verifier(), bearer(token))
        assert (error.status, error.code, error.message) == (401, "PGRST301", message)
        assert error.details == details
        challenge = f'Bearer error="invalid_token", error_description="{message}"'
        assert error.headers == ((b"www-authenticate", challenge.encode()),)

    @pytest.mark.parametrize(
        ("claims", "message"),
        [
            ({"exp": int(time.time()) - 60}, "JWT expired"),
            ({"nbf": int(time.time()) + 3600}, "JWT not yet valid"),
            ({"iat": int(time.time()) + 3600}, "JWT issued at future"),
            ({"exp": "soon"}, "The JWT 'exp' claim must be a number"),
            ({"nbf": "soon"}, "The JWT 'nbf' claim must be a number"),
            ({"iat": "soon"}, "The JWT 'iat' claim must be a number"),
            ({"aud": {"a": 1}}, "The JWT 'aud' claim must be a string or an array of strings"),
            ({"aud": ["a", 1]}, "The JWT 'aud' claim must be a string or an array of strings"),
        ],
    )
    async def test_claims(self, claims: dict[str, Any], message: str):
        body = orjson.dumps({"role": "a", **claims})
        token = jwt.api_jws.encode(body, SECRET, algorithm="HS256")
        error = await refusal(verifier(), bearer(token))
        assert (error.status, error.code, error.message) == (401, "PGRST303", message)

    async def test_claims_that_are_none(self):
        token = jwt.api_jws.encode(b"[1]", SECRET, algorithm="HS256")
        assert (await refusal(verifier(), bearer(token))).message == "Parsing claims failed"

    async def test_clocks_may_differ_by_half_a_minute(self):
        now = int(time.time())
        for claims in ({"exp": now - 20}, {"nbf": now + 20}, {"iat": now + 20}):
            assert (await verifier()(bearer(sign({"role": "a", **claims})))).role == "a"

    async def test_a_remembered_token_still_expires(self, monkeypatch: pytest.MonkeyPatch):
        check, token = verifier(), sign({"role": "a", "exp": int(time.time()) + 60})
        await check(bearer(token))
        later = time.time() + 120
        monkeypatch.setattr(time, "time", lambda: later)
        assert (await refusal(check, bearer(token))).message == "JWT expired"

    async def test_only_so_many_are_remembered(self):
        check = verifier(cache_entries=2)
        for number in range(5):
            await check(bearer(sign({"role": f"r{number}"})))
        assert len(check._verified) == 2


class TestAudience:
    @pytest.mark.parametrize(
        ("configured", "claim", "accepted"),
        [
            ("me", "me", True),
            ("me", ["you", "me"], True),
            ("me", [], True),
            ("me", None, True),
            ("me", "you", False),
            ("me", ["you"], False),
            (None, "anyone", True),
        ],
    )
    async def test_audience(self, configured: str | None, claim: Any, accepted: bool):
        claims = {"role": "a"} if claim is None else {"role": "a", "aud": claim}
        check = verifier(audience=configured)
        if accepted:
            assert (await check(bearer(sign(claims)))).role == "a"
        else:
            error = await refusal(check, bearer(sign(claims)))
            assert error.message == "JWT not in audience"


class TestClaimPaths:
    @pytest.mark.parametrize(
        ("path", "role"),
        [
            (".role", "plain"),
            ("$.role", "plain"),
            (".app.roles[1]", "second"),
            ('."https://x.y/role"', "url"),
            ('.app."a-b"', "dash"),
            ('.app.roles[?(@ == "first")]', "first"),
            ('.app.roles[?(@ != "first")]', "second"),
            ('.app.roles[?(@ ^== "sec")]', "second"),
            ('.app.roles[?(@ ==^ "rst")]', "first"),
            ('.app.roles[?(@ *== "eco")]', "second"),
            (".app.roles[9]", None),
            (".role[1:]", "lain"),
            (".role[:-2]", "pla"),
            (".role[1:3]", "la"),
            (".role[:]", "plain"),
            (".role[9:]", None),
            ('$.app["a-b"]', "dash"),
            ("$['https://x.y/role']", "url"),
            ("$.app.roles[-1]", "second"),
            ("$.app.roles[1:]", "second"),
            ("$.app.roles[2:]", None),
            ('$.app.roles[?search(@, "^s")]', "second"),
            ("$.app.roles[?match(@, 'f.*t')]", "first"),
            ('$.app.roles[?@ != "first"]', "second"),
            (".app[1:]", None),
            (".role.deeper", None),
            (".none", None),
            (".null", "null"),
            (".number", "1"),
            (".app.roles", '["first","second"]'),
        ],
    )
    def test_path(self, path: str, role: str | None):
        claims = {
            "role": "plain",
            "null": None,
            "number": 1,
            "https://x.y/role": "url",
            "app": {"roles": ["first", "second"], "a-b": "dash"},
        }
        assert find_claim(claims, parse_claim_path(path)) == role

    @pytest.mark.parametrize(
        "path", ["role", "..role", ".a[x]", '."open', "[0]", ".a[?(@ == x)]", '$[?search(@, "(")]']
    )
    def test_no_path(self, path: str):
        with pytest.raises(InvalidSettingError):
            parse_claim_path(path)

    @pytest.mark.parametrize(
        ("path", "shown"),
        [
            (".role", '."role"'),
            ('.a."b c"[0][1:-1]', '."a"."b c"[0][1:-1]'),
            ('.a[?(@ ^== "x")]', '."a"[?(@ ^== "x")]'),
            ('$.a[?search(@, "x")]', '."a"[?search(@, "x")]'),
        ],
    )
    def test_shown(self, path: str, shown: str):
        assert show_claim_path(parse_claim_path(path)) == shown
