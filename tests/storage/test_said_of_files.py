"""What is said of a file beside its bytes: how it is compressed, its version, what a copy is."""

import base64
import gzip
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller
from tests.fixtures.buckets import STORAGE, Bucket, make_bucket

PAGE = b"<p>hello</p>" * 99
PACKED = gzip.compress(PAGE)


@pytest_asyncio.fixture
async def bucket(service: Caller) -> Bucket:
    return await make_bucket(service)


async def info(caller: Caller, bucket: Bucket, name: str) -> dict[str, Any]:
    return dict((await caller.get(bucket.path(name, "object/info"))).json())


async def transferred(caller: Caller, verb: str, bucket: Bucket, to: str, **said: Any) -> int:
    body = {"bucketId": bucket.name, "sourceKey": "a", "destinationKey": to, **said}
    return (await caller.post(f"{STORAGE}/object/{verb}", json=body)).status_code


class TestCompressed:
    async def test_goes_out_as_it_came_with_the_type_of_what_is_inside(
        self, bucket: Bucket, service: Caller
    ):
        for name, kind in (("a.html", "text/html"), ("a.png", "image/png")):
            packed = {"content_type": kind, "content_encoding": "gzip"}
            assert (await bucket.upload(service, name, PACKED, **packed)).status_code == 200
            found = await service.get(bucket.path(name))
            assert (found.headers["content-encoding"], found.content) == ("gzip", PAGE)
            assert found.headers["content-type"] == "text/html"
            assert found.headers["content-disposition"].startswith("attachment")
        told = await info(service, bucket, "a.html")
        assert (told["content_encoding"], told["size"]) == ("gzip", len(PACKED))

    async def test_in_a_form(self, bucket: Bucket, service: Caller):
        files = {"file": ("a.css", PACKED, "text/css")}
        sent = {"contentEncoding": "gzip"}
        made = await service.post(bucket.path("a.css"), data=sent, files=files)
        assert made.status_code == 200, made.text
        assert (await service.get(bucket.path("a.css"))).content == PAGE

    async def test_a_bomb_is_bytes_like_others(self, bucket: Bucket, service: Caller):
        bomb = gzip.compress(bytes(50_000_000))
        assert (await bucket.upload(service, "a", bomb, content_encoding="gzip")).status_code == 200
        drawn = await service.get(bucket.path("a", "render/image/authenticated"))
        assert drawn.status_code == 400

    @pytest.mark.parametrize(
        ("encoding", "types", "status"),
        [
            ("gzip", None, 415),
            ("gzip, gzip", None, 400),
            ("rot13", None, 400),
            ("identity", None, 200),
            ("br", None, 200),
            ("br", ["text/*"], 415),
        ],
    )
    async def test_what_cannot_be_looked_into(
        self, service: Caller, encoding: str, types: list[str] | None, status: int
    ):
        bucket = await make_bucket(service, allowed_mime_types=types)
        made = await bucket.upload(service, "a", b"plain", content_encoding=encoding)
        assert made.status_code == status, made.text
        if encoding == "br" and not types:
            headers = (await service.request("HEAD", bucket.path("a"))).headers
            assert headers["content-encoding"] == "br"
            assert headers["content-disposition"].startswith("attachment")


class TestVersions:
    async def test_only_the_one_there_is_is_found(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a")
        current = (await info(service, bucket, "a"))["version"]
        for version, status in ((current, 200), (str(uuid4()), 404), ("x\0", 404)):
            asked = {"versionId": version}
            for kind in ("object", "object/info"):
                answer = await service.get(bucket.path("a", kind), params=asked)
                assert answer.status_code == status
            body = {"expiresIn": 60, **asked}
            signed = await service.post(bucket.path("a", "object/sign"), json=body)
            assert signed.status_code == status
            copied = await transferred(
                service, "copy", bucket, version[:8], sourceVersionId=version
            )
            assert copied == (400 if "\0" in version else status)

    async def test_another_is_not_removed(self, bucket: Bucket, service: Caller):
        for name in "ab":
            await bucket.upload(service, name)
        path = f"{STORAGE}/object/{bucket.name}"
        current = (await info(service, bucket, "a"))["version"]
        for version, gone in ((str(uuid4()), []), (current, ["a"])):
            body = {"prefixes": [{"path": "a", "versionId": version}, "nothing"]}
            removed = (await service.request("DELETE", path, json=body)).json()
            assert [entry["name"] for entry in removed] == gone
        assert await bucket.names(service) == ["b"]

    async def test_buckets_that_keep_them_are_not_made(self, bucket: Bucket, service: Caller):
        wish = {"name": "versioned", "versioning_status": "ENABLED"}
        assert (await service.post(f"{STORAGE}/bucket", json=wish)).status_code == 400
        path = f"{STORAGE}/bucket/{bucket.name}"
        assert (await service.put(path, json=wish)).status_code == 400
        assert (await service.put(path, json={"versioning_status": "DISABLED"})).status_code == 200


class TestCopies:
    @pytest_asyncio.fixture
    async def source(self, bucket: Bucket, service: Caller) -> Bucket:
        own = base64.b64encode(b'{"colour": "red"}').decode()
        said = {"cache_control": "max-age=7", "x_metadata": own}
        assert (await bucket.upload(service, "a", b"a,b\n1,2\n", **said)).status_code == 200
        return bucket

    @pytest.mark.parametrize(
        ("said", "kept"),
        [
            ({}, ("text/plain", "max-age=7", {"colour": "red"})),
            ({"copyMetadata": False}, ("text/plain", "max-age=7", {})),
            (
                {"copyMetadata": False, "metadata": {"mimetype": "text/csv", "cacheControl": "9"}},
                ("text/csv", "max-age=9", {}),
            ),
            (
                {"copyMetadata": False, "metadata": {"mimetype": "image/png"}},
                ("text/plain", "max-age=7", {}),
            ),
        ],
    )
    async def test_are_what_is_said_if_the_content_allows_it(
        self, source: Bucket, service: Caller, said: dict[str, Any], kept: tuple[Any, ...]
    ):
        assert await transferred(service, "copy", source, "b", **said) == 200
        told = await info(service, source, "b")
        assert (told["content_type"], told["cache_control"], told["metadata"]) == kept
        served = (await service.get(source.path("b"))).headers
        assert (served["content-type"], served["cache-control"]) == (kept[0], f"private, {kept[1]}")

    async def test_cannot_say_what_is_not_so(self, source: Bucket, service: Caller):
        for said, status in (
            ({"contentEncoding": "gzip"}, 415),
            ({"contentEncoding": "rot13"}, 400),
            ({"cacheControl": "x\r\nSet-Cookie: a=b"}, 400),
        ):
            anew = {"copyMetadata": False, "metadata": said}
            assert await transferred(service, "copy", source, "b", **anew) == status
        csv = await make_bucket(service, allowed_mime_types=["text/csv"])
        there = {"destinationBucket": csv.name}
        assert await transferred(service, "copy", source, "b", **there) == 415
        anew = {"copyMetadata": False, "metadata": {"mimetype": "text/csv"}}
        assert await transferred(service, "copy", source, "b", **there, **anew) == 200

    async def test_of_compressed_ones_can_be_said_to_be_none(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a", PACKED, content_encoding="gzip")
        anew = {"copyMetadata": False, "metadata": {"contentEncoding": ""}}
        assert await transferred(service, "copy", bucket, "b", **anew) == 200
        assert (await service.get(bucket.path("b"))).content == PACKED
