"""`Idempotency-Key` on writes of `/storage/v1`: done once, answered alike, nothing left behind."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, unique
from tests.fixtures.app import make_client, running
from tests.fixtures.buckets import OWN_FOLDER, STORAGE, Bucket, allow, make_bucket
from tests.fixtures.engines import EngineAddresses
from undercroft.app import create_app
from undercroft.foundation.settings import Settings

Held = Callable[[], Awaitable[tuple[int, int]]]

REPLAYED = "idempotency-replayed"
LARGE = b"0123456789abcdef" * 200_000  # several times what is kept in one piece


@pytest_asyncio.fixture
async def bucket(service: Caller) -> Bucket:
    return await make_bucket(service)


@pytest_asyncio.fixture(scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keyed") / "files"


@pytest_asyncio.fixture(scope="module")
async def client(settings: Settings, directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An anonymous caller of an application whose bytes lie where nobody else's do."""
    storage = settings.storage.model_copy(update={"directory": directory})
    app = create_app(settings.model_copy(update={"storage": storage}))
    async with running(app), make_client(app) as client:
        yield client


@pytest.fixture
def held(directory: Path, engines: EngineAddresses, database: str) -> Held:
    """Counts what is on the disk, and the notes of bytes that are or are about to come."""

    async def count() -> tuple[int, int]:
        connection = await asyncpg.connect(engines.superuser_database_url(database))
        try:
            notes = await connection.fetchval("SELECT count(*) FROM storage.blobs")
        finally:
            await connection.close()
        return sum(len(names) for _, _, names in os.walk(directory)), notes

    return count


def keyed(**more: str) -> dict[str, str]:
    return {"Idempotency-Key": unique("key"), **more}


def same(first: httpx.Response, again: httpx.Response) -> None:
    assert REPLAYED not in first.headers, first.text
    assert again.headers.get(REPLAYED) == "true", again.text
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert first.headers["content-type"] == again.headers["content-type"]


async def twice(caller: Caller, method: str, path: str, **options: Any) -> httpx.Response:
    """The answer, which is the same the second time."""
    first = await caller.request(method, path, **options)
    assert first.status_code == 200, first.text
    same(first, await caller.request(method, path, **options))
    return first


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


def form(content: bytes, boundary: str, cache: str = "60") -> dict[str, Any]:
    files = [
        ("cacheControl", (None, cache.encode())),
        ("", ("a.txt", io.BytesIO(content), "text/plain")),
        ("metadata", (None, b'{"colour": "red"}')),
    ]
    kind = f"multipart/form-data; boundary={boundary}"
    return {"files": files, "headers": {"Content-Type": kind}}


class TestUploads:
    @pytest.mark.parametrize("content", [b"", b"hello", LARGE])
    @pytest.mark.parametrize("method", ["POST", "PUT"])
    async def test_one_is_kept_once(
        self, bucket: Bucket, service: Caller, held: Held, method: str, content: bytes
    ):
        headers = keyed(**{"Content-Type": "text/plain"})
        path = bucket.path("a.txt")
        files, notes = await held()
        first = await service.request(method, path, content=pieces(content), headers=headers)
        assert first.status_code == 200, first.text
        after = await held()
        assert after == (files + 1, notes + 1)
        same(first, await service.request(method, path, content=content, headers=headers))
        other = await service.request(method, path, content=content + b"!", headers=headers)
        refused(other, 422, "idempotency_key_reused")
        said = headers | {"Cache-Control": "max-age=9"}
        other = await service.request(method, path, content=content, headers=said)
        refused(other, 422, "idempotency_key_reused")
        assert await held() == after
        assert (await service.get(path)).content == content

    async def test_another_caller_has_another_key(
        self, bucket: Bucket, admin: Caller, service: Caller, member: Caller, outsider: Caller
    ):
        await allow(admin, bucket, where=OWN_FOLDER)
        headers = keyed()
        for caller in (member, outsider):
            await twice(
                caller, "POST", bucket.path(f"{caller.id}/a"), content=b"a", headers=headers
            )
        upsert = headers | {"x-upsert": "true"}
        path = bucket.path(f"{member.id}/a")
        refused(
            await member.post(path, content=b"a", headers=upsert), 422, "idempotency_key_reused"
        )
        first = await service.post(path, content=b"b", headers=upsert)
        assert (first.status_code, first.headers.get(REPLAYED)) == (200, None)

    async def test_a_form_may_have_another_boundary(
        self, bucket: Bucket, service: Caller, held: Held
    ):
        headers, path, answers = keyed(), bucket.path("form.txt"), []
        for boundary in ("one", "two"):
            sent = form(LARGE, boundary)
            sent["headers"] |= headers
            answers.append(await service.post(path, **sent))
        same(*answers)
        before = await held()
        sent = form(LARGE, "three", cache="61")
        sent["headers"] |= headers
        refused(await service.post(path, **sent), 422, "idempotency_key_reused")
        assert await held() == before

    async def test_with_a_signed_url(self, bucket: Bucket, service: Caller, client: Any):
        signed = await service.post(bucket.path("a.txt", "object/upload/sign"), json={})
        url, headers = STORAGE + signed.json()["url"], keyed()
        first = await client.put(url, content=b"hello", headers=headers)
        assert first.status_code == 200, first.text
        same(first, await client.put(url, content=b"hello", headers=headers))
        other = await client.put(url, content=b"other", headers=headers)
        refused(other, 422, "idempotency_key_reused")

    async def test_of_who_is_not_signed_in(
        self, bucket: Bucket, admin: Caller, client: Any, api_keys: dict[str, str]
    ):
        await allow(admin, bucket, "insert", "select", roles=("anon",))
        headers, path = keyed(apikey=api_keys["anon"]), bucket.path("a.txt")
        first = await client.post(path, content=b"hello", headers=headers)
        assert first.status_code == 200, first.text
        same(first, await client.post(path, content=b"hello", headers=headers))

    @pytest.mark.parametrize("content", [b"hello", LARGE])
    async def test_ten_at_once_leave_one(
        self, bucket: Bucket, service: Caller, held: Held, content: bytes
    ):
        headers, path = keyed(), bucket.path("a.txt")
        files, notes = await held()
        posts = [service.post(path, content=content, headers=headers) for _ in range(10)]
        answers = await asyncio.gather(*posts)
        done = [answer for answer in answers if answer.status_code == 200]
        assert len({answer.json()["Id"] for answer in done}) == 1
        for answer in answers:
            if answer not in done:
                refused(answer, 409, "idempotency_key_in_use")
        assert await held() == (files + 1, notes + 1)
        assert (await service.post(path, content=content, headers=headers)).headers[REPLAYED]

    async def test_a_refusal_is_not_kept(self, bucket: Bucket, service: Caller, held: Held):
        assert (await bucket.upload(service, "a.txt", b"first")).status_code == 200
        headers, path = keyed(), bucket.path("a.txt")
        before = await held()
        for _ in range(2):
            answer = await service.post(path, content=b"second", headers=headers)
            refused(answer, 409, "KeyAlreadyExists")
        assert await held() == before
        assert (await service.delete(path)).status_code == 200
        await twice(service, "POST", path, content=b"second", headers=headers)

    async def test_with_a_precondition(self, bucket: Bucket, service: Caller):
        headers = keyed(**{"If-None-Match": "*"})
        await twice(service, "POST", bucket.path("a.txt"), content=b"a", headers=headers)

    @pytest.mark.parametrize("key", ["", "k" * 256])
    async def test_keys_have_a_length(self, bucket: Bucket, service: Caller, key: str):
        headers = {"Idempotency-Key": key}
        answer = await service.post(bucket.path("a.txt"), content=b"a", headers=headers)
        refused(answer, 422, "idempotency_key_invalid")
        answer = await service.post(f"{STORAGE}/bucket", json={"name": "a"}, headers=headers)
        refused(answer, 422, "idempotency_key_invalid")


class TestTheRest:
    async def test_buckets(self, service: Caller):
        name = unique("bucket")
        path = f"{STORAGE}/bucket/{name}"
        headers = keyed()
        made = {"id": name, "name": name}
        await twice(service, "POST", f"{STORAGE}/bucket", json=made, headers=headers)
        other = await service.post(
            f"{STORAGE}/bucket", json=made | {"public": True}, headers=headers
        )
        refused(other, 422, "idempotency_key_reused")
        await twice(service, "PUT", path, json={"public": True}, headers=keyed())
        await service.post(f"{STORAGE}/object/{name}/a", content=b"a")
        emptying = keyed()
        await twice(service, "POST", f"{path}/empty", headers=emptying)
        deleting = keyed()
        await service.post(f"{STORAGE}/object/{name}/a", content=b"a")
        refused(await service.delete(path, headers=deleting), 409, "ResourceNotEmpty")
        again = await service.post(f"{path}/empty", headers=emptying)
        assert again.headers[REPLAYED] == "true"
        refused(await service.delete(path, headers=deleting), 409, "ResourceNotEmpty")
        await service.delete(f"{STORAGE}/object/{name}/a")
        await twice(service, "DELETE", path, headers=deleting)

    async def test_moving_copying_and_removing(self, bucket: Bucket, service: Caller, held: Held):
        await bucket.upload(service, "a")
        before = await held()
        place = {"bucketId": bucket.name, "sourceKey": "a", "destinationKey": "b"}
        await twice(service, "POST", f"{STORAGE}/object/copy", json=place, headers=keyed())
        place = {"bucketId": bucket.name, "sourceKey": "b", "destinationKey": "c"}
        await twice(service, "POST", f"{STORAGE}/object/move", json=place, headers=keyed())
        assert sorted(await bucket.names(service)) == ["a", "c"]
        removal = {"json": {"prefixes": ["a"]}, "headers": keyed()}
        gone = await twice(service, "DELETE", f"{STORAGE}/object/{bucket.name}", **removal)
        assert [entry["name"] for entry in gone.json()] == ["a"]
        assert (await held())[0] == before[0]
        await twice(service, "DELETE", bucket.path("c"), headers=keyed())
        assert await bucket.names(service) == []

    async def test_ending_signed_urls(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a")
        await twice(service, "DELETE", bucket.path("a", "object/sign"), headers=keyed())

    async def test_ten_removals_at_once(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a")
        headers = keyed()
        asked = [service.delete(bucket.path("a"), headers=headers) for _ in range(10)]
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert (await service.delete(bucket.path("a"), headers=headers)).headers[REPLAYED]

    async def test_lists_have_no_keys(self, bucket: Bucket, service: Caller):
        headers, path = keyed(), f"{STORAGE}/object/list/{bucket.name}"
        for count in (0, 1):
            listed = await service.post(path, json={"prefix": ""}, headers=headers)
            assert (len(listed.json()), listed.headers.get(REPLAYED)) == (count, None)
            await bucket.upload(service, "a")
