"""Signed URLs: what they give, and everything that they do not."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller
from tests.fixtures.buckets import STORAGE, Bucket, allow, make_bucket
from tests.fixtures.engines import SECRET_KEY
from undercroft.foundation.crypto import Keyring


@pytest_asyncio.fixture
async def bucket(service: Caller) -> Bucket:
    bucket = await make_bucket(service)
    for name in ("a.txt", "b.txt"):
        await bucket.upload(service, name, name.encode())
    return bucket


async def sign(caller: Caller, bucket: Bucket, name: str, **options: Any) -> str:
    path = f"{STORAGE}/object/sign/{bucket.name}/{name}"
    answer = await caller.post(path, json={"expiresIn": 60, **options})
    assert answer.status_code == 200, answer.text
    return STORAGE + answer.json()["signedURL"]


def token_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


def forged(token: str, **changes: Any) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims | changes, "some other secret, long enough to be one", "HS256")


def resigned(token: str, **changes: Any) -> str:
    """With the server's own key: what time alone would have made of it."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims | changes, Keyring(SECRET_KEY).derive("storage-links"), "HS256")


class TestDownloads:
    async def test_gives_one_file_to_anybody(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        url = await sign(service, bucket, "a.txt")
        found = await client.get(url)
        assert (found.status_code, found.content) == (200, b"a.txt")
        assert found.headers["cache-control"].startswith("private, max-age=")
        named = await client.get(f"{url}&download=x.txt")
        assert "x.txt" in named.headers["content-disposition"]
        ranged = await client.get(url, headers={"Range": "bytes=0-0"})
        assert (ranged.status_code, ranged.content) == (206, b"a")

    async def test_needs_the_right_to_read(
        self, bucket: Bucket, admin: Caller, member: Caller, client: httpx.AsyncClient
    ):
        path = f"{STORAGE}/object/sign/{bucket.name}/a.txt"
        assert (await member.post(path, json={"expiresIn": 60})).status_code == 404
        await allow(admin, bucket, "select")
        assert (await client.get(await sign(member, bucket, "a.txt"))).status_code == 200

    async def test_many(self, bucket: Bucket, service: Caller, client: httpx.AsyncClient):
        body = {"expiresIn": "60", "paths": ["a.txt", "nothing.txt", "../x"]}
        answer = await service.post(f"{STORAGE}/object/sign/{bucket.name}", json=body)
        good, *bad = answer.json()
        assert (await client.get(STORAGE + good["signedURL"])).content == b"a.txt"
        assert [(entry["signedURL"], bool(entry["error"])) for entry in bad] == [(None, True)] * 2

    async def test_nothing_else(self, bucket: Bucket, service: Caller, client: httpx.AsyncClient):
        url = await sign(service, bucket, "a.txt")
        token = token_of(url)
        other = await make_bucket(service)
        await other.upload(service, "a.txt")
        paths = (
            f"{STORAGE}/object/sign/{bucket.name}/b.txt",
            f"{STORAGE}/object/sign/{other.name}/a.txt",
            f"{STORAGE}/object/sign/{bucket.name}/A.txt",
            f"{STORAGE}/object/sign/{bucket.name}/a.txt/",
        )
        for path in paths:
            assert (await client.get(path, params={"token": token})).status_code == 400, path
        for query in ("&width=10", "&x=1", "&bucket=other"):
            assert (await client.get(url + query)).status_code == 400, query
        for method in ("POST", "PUT", "DELETE"):
            answer = await client.request(method, url, content=b"x")
            assert answer.status_code in {400, 401, 405}, (method, answer.text)
        upload = f"{STORAGE}/object/upload/sign/{bucket.name}/a.txt"
        assert (await client.put(upload, params={"token": token})).status_code == 400
        render = f"{STORAGE}/render/image/sign/{bucket.name}/a.txt"
        assert (await client.get(render, params={"token": token})).status_code == 400
        assert (await service.get(bucket.path("a.txt"))).content == b"a.txt"

    async def test_is_no_login_and_no_login_is_one(
        self, bucket: Bucket, service: Caller, member: Caller, client: httpx.AsyncClient
    ):
        token = token_of(await sign(service, bucket, "a.txt"))
        for path in ("/api/v1/users/me", f"{STORAGE}/bucket", "/rest/v1/"):
            for headers in (
                {"Authorization": f"Bearer {token}"},
                {"apikey": token},
                {"X-Session-Token": token},
            ):
                assert (await client.get(path, headers=headers)).status_code == 401
        path = f"{STORAGE}/object/sign/{bucket.name}/a.txt"
        for wrong in (
            member.tokens["access_token"],
            member.tokens["refresh_token"],
            service.tokens["access_token"],
        ):
            assert (await client.get(path, params={"token": wrong})).status_code == 400

    async def test_forged_altered_and_expired(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        token = token_of(await sign(service, bucket, "a.txt"))
        path = f"{STORAGE}/object/sign/{bucket.name}/a.txt"
        head, claims, signature = token.split(".")
        unsigned = jwt.encode(
            jwt.decode(token, options={"verify_signature": False}), None, algorithm="none"
        )
        wrong = (
            "",
            "nonsense",
            forged(token),
            unsigned,
            f"{head}.{claims}.{signature[:-2]}AA",
            f"{head}.{claims}x.{signature}",
            f"{head}.{claims}.",
            resigned(token, exp=int(time.time()) - 1),
            resigned(token, use="upload"),
            resigned(token, aud="authenticated"),
            resigned(token, version="0.0"),
        )
        for given in wrong:
            answer = await client.get(path, params={"token": given})
            assert answer.status_code == 400, given
            assert answer.json()["message"]
        assert (await client.get(path, params={"token": resigned(token)})).status_code == 200

    async def test_ends_with_its_file_and_when_revoked(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        first = await sign(service, bucket, "a.txt")
        second = await sign(service, bucket, "b.txt")
        await bucket.upload(service, "a.txt", b"newer", x_upsert="true")
        assert (await client.get(first)).content == b"newer"
        revoked = await service.delete(f"{STORAGE}/object/sign/{bucket.name}/a.txt")
        assert revoked.status_code == 200
        assert (await client.get(first)).status_code == 400
        assert (await client.get(second)).status_code == 200
        await service.delete(f"{STORAGE}/object/sign/{bucket.name}")
        assert (await client.get(second)).status_code == 400
        third = await sign(service, bucket, "b.txt")
        await service.delete(bucket.path("b.txt"))
        await bucket.upload(service, "b.txt", b"another file of that name")
        assert (await client.get(third)).status_code == 404

    @pytest.mark.parametrize("expires_in", [0, -1, 10**12, "x", None])
    async def test_impossible_lifetimes(self, bucket: Bucket, service: Caller, expires_in: Any):
        path = f"{STORAGE}/object/sign/{bucket.name}/a.txt"
        answer = await service.post(path, json={"expiresIn": expires_in})
        assert answer.status_code == 400


class TestUploads:
    async def signed(self, caller: Caller, bucket: Bucket, name: str, **headers: str) -> str:
        path = f"{STORAGE}/object/upload/sign/{bucket.name}/{name}"
        answer = await caller.post(path, headers=headers)
        assert answer.status_code == 200, answer.text
        return STORAGE + answer.json()["url"]

    async def test_lets_anybody_bring_one_file(
        self, bucket: Bucket, admin: Caller, member: Caller, client: httpx.AsyncClient
    ):
        await allow(admin, bucket, "insert")
        await allow(admin, bucket, "select", where="owner_id = (select auth.uid()::text)")
        url = await self.signed(member, bucket, "new.txt")
        assert (await client.put(url, content=b"brought")).status_code == 200
        assert (await member.get(bucket.path("new.txt"))).content == b"brought"
        assert (await client.put(url, content=b"again")).status_code == 409
        changed = url.replace("new.txt", "other.txt")
        assert (await client.put(changed, content=b"x")).status_code == 400
        assert (await client.get(url.replace("upload/sign", "sign"))).status_code == 400

    async def test_needs_the_right_to_write(
        self, bucket: Bucket, admin: Caller, member: Caller, service: Caller
    ):
        path = f"{STORAGE}/object/upload/sign/{bucket.name}/new.txt"
        assert (await member.post(path)).status_code == 403
        await allow(admin, bucket, "insert")
        assert (await member.post(path, headers={"x-upsert": "true"})).status_code == 403
        taken = f"{STORAGE}/object/upload/sign/{bucket.name}/a.txt"
        assert (await service.post(taken)).status_code == 409

    async def test_replaces_only_if_it_was_signed_so(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        url = await self.signed(service, bucket, "a.txt", **{"x-upsert": "true"})
        assert (await client.put(url, content=b"replaced")).status_code == 200
        assert (await service.get(bucket.path("a.txt"))).content == b"replaced"
        url = await self.signed(service, bucket, "c.txt")
        headers = {"x-upsert": "true"}
        assert (await client.put(url, content=b"one", headers=headers)).status_code == 200
        assert (await client.put(url, content=b"two", headers=headers)).status_code == 409
