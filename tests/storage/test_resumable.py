"""Resumable uploads by tus 1.0, as its own client library and cut-off connections make them."""

import asyncio
import base64
import gzip
import hashlib
from typing import Any

import httpx
import pytest_asyncio
from starlette.types import Message

from tests.fixtures.actors import Caller
from tests.fixtures.buckets import STORAGE, Bucket, allow, make_bucket
from undercroft.app import Application

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = TUS | {"Content-Type": "application/offset+octet-stream"}
RESUMABLE = f"{STORAGE}/upload/resumable"


@pytest_asyncio.fixture
async def bucket(service: Caller) -> Bucket:
    return await make_bucket(service)


def described(**values: str) -> str:
    pairs = (
        f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items()
    )
    return ",".join(pairs)


async def begin(
    caller: Caller, bucket: Bucket, name: str, length: int, **headers: str
) -> httpx.Response:
    metadata = described(bucketName=bucket.name, objectName=name, contentType="text/plain")
    given = TUS | {"Upload-Length": str(length), "Upload-Metadata": metadata}
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return await caller.post(RESUMABLE, headers=given | named)


async def started(caller: Caller, bucket: Bucket, name: str, length: int, **headers: str) -> str:
    answer = await begin(caller, bucket, name, length, **headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def send(
    caller: Caller, url: str, offset: int, content: bytes, **headers: str
) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    given = CHUNK | {"Upload-Offset": str(offset)} | named
    return await caller.patch(url, content=content, headers=given)


async def offset_of(caller: Caller, url: str) -> int:
    answer = await caller.request("HEAD", url, headers=TUS)
    assert answer.status_code == 200, answer.text
    return int(answer.headers["upload-offset"])


class TestUploads:
    async def test_what_the_server_can(self, client: httpx.AsyncClient):
        answer = await client.options(RESUMABLE)
        assert answer.status_code == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert "termination" in answer.headers["tus-extension"]

    async def test_several_chunks_become_one_file(self, bucket: Bucket, service: Caller):
        url = await started(service, bucket, "a.txt", 11)
        assert await offset_of(service, url) == 0
        for start, piece in ((0, b"hello"), (5, b" "), (6, b"world")):
            answer = await send(service, url, start, piece)
            assert answer.status_code == 204, answer.text
            if start < 6:
                assert await bucket.names(service) == []
        assert answer.headers["upload-offset"] == "11"
        found = await service.get(bucket.path("a.txt"))
        assert (found.content, found.headers["content-type"]) == (b"hello world", "text/plain")
        ranged = await service.get(bucket.path("a.txt"), headers={"Range": "bytes=3-7"})
        assert ranged.content == b"lo wo"
        told = await service.request("HEAD", url, headers=TUS)
        assert (told.headers["upload-offset"], told.headers["upload-length"]) == ("11", "11")
        assert told.headers["upload-metadata"] == described(
            bucketName=bucket.name, objectName="a.txt", contentType="text/plain"
        )

    async def test_whose_end_is_sent_again_changes_nothing(self, bucket: Bucket, service: Caller):
        for name, length in (("a.txt", 5), ("none.txt", 0)):
            url = await started(service, bucket, name, length, x_upsert="true")
            if length:
                await send(service, url, 0, b"first")
            await bucket.upload(service, name, b"newer", x_upsert="true")
            assert (await send(service, url, length, b"")).status_code == 204
            assert (await service.get(bucket.path(name))).content == b"newer"

    async def test_of_compressed_content(self, bucket: Bucket, service: Caller):
        packed = gzip.compress(b"hello" * 99)
        metadata = described(bucketName=bucket.name, objectName="a", contentEncoding="gzip")
        headers = CHUNK | {"Upload-Metadata": metadata}
        for content, status in ((packed, 201), (b"plain", 415)):
            given = headers | {"Upload-Length": str(len(content)), "x-upsert": "true"}
            answer = await service.post(RESUMABLE, headers=given, content=content)
            assert answer.status_code == status, answer.text
        found = await service.get(bucket.path("a"))
        assert (found.headers["content-encoding"], found.content) == ("gzip", b"hello" * 99)

    async def test_with_the_first_bytes_and_empty(self, bucket: Bucket, service: Caller):
        metadata = described(bucketName=bucket.name, objectName="one.txt")
        headers = CHUNK | {"Upload-Length": "5", "Upload-Metadata": metadata}
        answer = await service.post(RESUMABLE, headers=headers, content=b"hello")
        assert (answer.status_code, answer.headers["upload-offset"]) == (201, "5")
        assert (await service.get(bucket.path("one.txt"))).content == b"hello"
        await started(service, bucket, "none.txt", 0)
        assert (await service.get(bucket.path("none.txt"))).content == b""

    async def test_wrong_offsets_lengths_and_versions(self, bucket: Bucket, service: Caller):
        url = await started(service, bucket, "a.txt", 5)
        wrong = await send(service, url, 1, b"x")
        assert (wrong.status_code, wrong.headers["tus-resumable"]) == (409, "1.0.0")
        assert (await send(service, url, 0, b"hello!")).status_code == 413
        assert await offset_of(service, url) == 0
        assert (await service.patch(url, content=b"x", headers=TUS)).status_code == 415
        old = await send(service, url, 0, b"x", Tus_Resumable="0.2.2")
        assert (old.status_code, old.headers["tus-version"]) == (412, "1.0.0")
        for length in ("-1", "x", "9" * 30):
            answer = await begin(service, bucket, "b.txt", 1, Upload_Length=length)
            assert answer.status_code == 400
        for metadata in ("", "bucketName", "objectName YQ==", "bucketName !!!,objectName YQ=="):
            answer = await begin(service, bucket, "b.txt", 1, Upload_Metadata=metadata)
            assert answer.status_code == 400, metadata
        assert (await send(service, url, 0, b"hello")).status_code == 204

    async def test_a_chunk_with_a_checksum(self, bucket: Bucket, service: Caller):
        url = await started(service, bucket, "a.txt", 5)
        good = base64.b64encode(hashlib.sha1(b"hello").digest()).decode()
        wrong = await send(service, url, 0, b"jello", Upload_Checksum=f"sha1 {good}")
        assert wrong.status_code == 460
        assert await offset_of(service, url) == 0
        unknown = await send(service, url, 0, b"hello", Upload_Checksum=f"crc99 {good}")
        assert unknown.status_code == 400
        right = await send(service, url, 0, b"hello", Upload_Checksum=f"sha1 {good}")
        assert right.status_code == 204

    async def test_ends_when_asked(self, bucket: Bucket, service: Caller):
        url = await started(service, bucket, "a.txt", 5)
        await send(service, url, 0, b"he")
        assert (await service.delete(url, headers=TUS)).status_code == 204
        assert (await service.request("HEAD", url, headers=TUS)).status_code == 404
        assert (await send(service, url, 2, b"llo")).status_code == 404
        assert await bucket.names(service) == []

    async def test_one_request_writes_at_a_time(self, bucket: Bucket, service: Caller):
        url = await started(service, bucket, "a.txt", 20)
        answers = await asyncio.gather(*(send(service, url, 0, b"x" * 10) for _ in range(10)))
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(204) == 1, statuses
        assert set(statuses) <= {204, 409, 423}
        assert await offset_of(service, url) == 10

    async def test_a_connection_that_breaks_keeps_what_came(
        self, bucket: Bucket, service: Caller, app: Application
    ):
        url = await started(service, bucket, "a.txt", 100)
        messages: list[Message] = [
            {"type": "http.request", "body": b"x" * 30, "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Message:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def nowhere(_message: Message) -> None: ...

        given = CHUNK | {
            "Upload-Offset": "0",
            "Authorization": f"Bearer {service.tokens['access_token']}",
        }
        scope: dict[str, Any] = {
            "type": "http",
            "method": "PATCH",
            "path": url,
            "query_string": b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
            "client": ("127.0.0.1", 1),
        }
        await app(scope, receive, nowhere)
        assert await offset_of(service, url) == 30
        assert await bucket.names(service) == []
        assert (await send(service, url, 30, b"y" * 70)).status_code == 204
        found = (await service.get(bucket.path("a.txt"))).content
        assert found == b"x" * 30 + b"y" * 70


class TestAccess:
    async def test_refused_before_anything_is_sent(
        self, bucket: Bucket, member: Caller, service: Caller, client: httpx.AsyncClient
    ):
        assert (await begin(member, bucket, "a.txt", 5)).status_code == 403
        assert (await begin(service, Bucket("nowhere"), "a.txt", 5)).status_code == 404
        assert (await begin(service, Bucket("_ours"), "a.txt", 5)).status_code == 404
        assert (await begin(service, bucket, "../a.txt", 5)).status_code == 400
        small = await make_bucket(service, file_size_limit=3)
        assert (await begin(service, small, "a.txt", 5)).status_code == 413
        assert (await client.post(RESUMABLE, headers=TUS)).status_code == 401

    async def test_an_upload_is_its_makers(
        self, bucket: Bucket, admin: Caller, member: Caller, outsider: Caller
    ):
        await allow(admin, bucket)
        url = await started(member, bucket, "a.txt", 5)
        assert (await outsider.request("HEAD", url, headers=TUS)).status_code == 404
        assert (await send(outsider, url, 0, b"evil!")).status_code == 404
        assert (await outsider.delete(url, headers=TUS)).status_code == 404
        assert (await send(member, url, 0, b"hello")).status_code == 204
        for wrong in (f"{RESUMABLE}/nonsense", f"{RESUMABLE}/{'0' * 32}"):
            assert (await member.request("HEAD", wrong, headers=TUS)).status_code == 404

    async def test_rights_are_asked_again_at_the_end(
        self, bucket: Bucket, admin: Caller, member: Caller, service: Caller
    ):
        await allow(admin, bucket, "insert", where="name = 'a.txt'")
        url = await started(member, bucket, "a.txt", 5)
        path = "/api/v1/tables/objects/policies?schema=storage"
        mine = [
            policy["name"]
            for policy in (await admin.get(path)).json()["items"]
            if bucket.name in (policy["check"] or "")
        ]
        gone = f"/api/v1/tables/objects/policies/{mine[0]}?schema=storage"
        assert (await admin.delete(gone)).status_code == 204
        assert (await send(member, url, 0, b"hello")).status_code == 403
        assert await bucket.names(service) == []

    async def test_content_that_the_bucket_refuses(self, service: Caller):
        bucket = await make_bucket(service, allowed_mime_types=["image/png"])
        page = b"<html><script>alert(1)</script>"
        url = await started(service, bucket, "a.png", len(page))
        assert (await send(service, url, 0, page)).status_code == 415
        assert await bucket.names(service) == []

    async def test_a_name_taken_meanwhile(self, bucket: Bucket, service: Caller):
        url = await started(service, bucket, "a.txt", 5)
        replacing = await started(service, bucket, "a.txt", 5, x_upsert="true")
        await bucket.upload(service, "a.txt", b"first")
        assert (await send(service, url, 0, b"later")).status_code == 409
        assert (await service.get(bucket.path("a.txt"))).content == b"first"
        assert (await send(service, replacing, 0, b"newer")).status_code == 204
        assert (await service.get(bucket.path("a.txt"))).content == b"newer"

    async def test_with_a_signed_upload_url(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        sign = f"{STORAGE}/object/upload/sign/{bucket.name}/a.txt"
        token = (await service.post(sign)).json()["token"]
        anonymous = Caller(client, "nobody", "", {"access_token": ""}, {"Authorization": ""})
        metadata = described(bucketName=bucket.name, objectName="a.txt")
        headers = TUS | {"Upload-Length": "5", "Upload-Metadata": metadata}
        path = f"{RESUMABLE}/sign"
        assert (await client.post(path, headers=headers)).status_code == 400
        made = await client.post(path, headers=headers | {"x-signature": token})
        assert made.status_code == 201, made.text
        url = made.headers["location"]
        assert (await send(anonymous, url, 0, b"hello")).status_code == 400
        done = await send(anonymous, url, 0, b"hello", x_signature=token)
        assert done.status_code == 204
        other = described(bucketName=bucket.name, objectName="b.txt")
        stolen = headers | {"x-signature": token, "Upload-Metadata": other}
        assert (await client.post(path, headers=stolen)).status_code == 400
