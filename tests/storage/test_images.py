"""Images in other sizes, and what they may cost."""

import asyncio
import io
import struct
import zlib
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from tests.fixtures.actors import Caller
from tests.fixtures.buckets import STORAGE, Bucket, make_bucket


def picture(width: int = 200, height: int = 100, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(target, kind, **options)
    return target.getvalue()


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it has 900 million pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest_asyncio.fixture
async def bucket(service: Caller) -> Bucket:
    bucket = await make_bucket(service, public=True)
    await bucket.upload(service, "a.png", picture(), content_type="image/png")
    return bucket


async def render(client: httpx.AsyncClient, bucket: Bucket, name: str, **query: Any) -> Any:
    headers = {"Accept": query.pop("accept", "*/*")}
    path = bucket.path(name, "render/image/public")
    return await client.get(path, params=query, headers=headers)


def size_of(answer: httpx.Response) -> tuple[int, int]:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content)).size


class TestSizes:
    @pytest.mark.parametrize(
        ("query", "size"),
        [
            ({"width": 50}, (50, 25)),
            ({"height": 50}, (100, 50)),
            ({"width": 50, "height": 50}, (50, 50)),
            ({"width": 50, "height": 50, "resize": "contain"}, (50, 25)),
            ({"width": 50, "height": 50, "resize": "fill"}, (50, 50)),
            ({"quality": 50}, (200, 100)),
            ({"width": 1}, (1, 1)),
        ],
    )
    async def test_are_as_asked(
        self, bucket: Bucket, client: httpx.AsyncClient, query: dict[str, Any], size: Any
    ):
        assert size_of(await render(client, bucket, "a.png", **query)) == size

    async def test_formats(self, bucket: Bucket, client: httpx.AsyncClient):
        for query, kind in (
            ({}, "image/png"),
            ({"accept": "image/avif,image/webp,*/*"}, "image/webp"),
            ({"accept": "image/webp", "format": "origin"}, "image/png"),
            ({"format": "avif"}, "image/avif"),
            ({"format": "jpeg"}, "image/jpeg"),
        ):
            answer = await render(client, bucket, "a.png", width=20, **query)
            assert answer.headers["content-type"] == kind
            assert answer.headers["vary"] == "accept"

    async def test_every_kind_of_source(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        for kind in ("JPEG", "WEBP", "GIF", "AVIF", "BMP"):
            media = f"image/{kind.lower()}"
            await bucket.upload(service, kind, picture(kind=kind), content_type=media)
            assert size_of(await render(client, bucket, kind, width=20)) == (20, 10)

    async def test_is_turned_upright(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        exif = Image.Exif()
        exif[0x0112] = 6
        lying = picture(kind="JPEG", exif=exif)
        await bucket.upload(service, "lying.jpg", lying, content_type="image/jpeg")
        assert size_of(await render(client, bucket, "lying.jpg", width=50)) == (50, 100)

    async def test_what_has_not_changed_is_not_made_again(
        self, bucket: Bucket, client: httpx.AsyncClient
    ):
        path = bucket.path("a.png", "render/image/public")
        first = await client.get(path, params={"width": 20})
        again = {"If-None-Match": first.headers["etag"]}
        assert (await client.get(path, params={"width": 20}, headers=again)).status_code == 304
        assert (await client.get(path, params={"width": 21}, headers=again)).status_code == 200


class TestRefusals:
    @pytest.mark.parametrize(
        "query",
        [
            {"width": 0},
            {"width": -1},
            {"width": 2501},
            {"width": "x"},
            {"height": 10**9},
            {"quality": 19},
            {"quality": 101},
            {"resize": "stretch"},
            {"format": "exe"},
        ],
    )
    async def test_wishes_out_of_bounds(
        self, bucket: Bucket, client: httpx.AsyncClient, query: dict[str, Any]
    ):
        assert (await render(client, bucket, "a.png", **query)).status_code == 400

    async def test_a_small_file_that_unpacks_to_gigabytes(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        content = bomb()
        assert len(content) < 1000
        await bucket.upload(service, "bomb.png", content, content_type="image/png")
        assert (await render(client, bucket, "bomb.png", width=10)).status_code == 413

    async def test_what_is_no_image(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        await bucket.upload(service, "a.txt", b"text")
        await bucket.upload(service, "cut.png", picture()[:60], content_type="image/png")
        await bucket.upload(service, "a.svg", b"<svg/>", content_type="image/svg+xml")
        for name in ("a.txt", "cut.png", "a.svg"):
            assert (await render(client, bucket, name, width=10)).status_code == 400, name
        assert (await render(client, bucket, "nothing.png", width=10)).status_code == 404

    async def test_a_burst_does_not_stop_downloads(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        large = picture(3000, 2000)
        await bucket.upload(service, "large.png", large, content_type="image/png")
        burst = [render(client, bucket, "large.png", width=900 + n) for n in range(30)]
        plain = client.get(bucket.path("a.png", "object/public"))
        found, *images = await asyncio.gather(plain, *burst)
        assert found.status_code == 200
        assert {answer.status_code for answer in images} == {200, 503}

    async def test_access_is_that_of_the_file(
        self, service: Caller, member: Caller, client: httpx.AsyncClient
    ):
        private = await make_bucket(service)
        await private.upload(service, "a.png", picture(), content_type="image/png")
        authenticated = private.path("a.png", "render/image/authenticated")
        assert (await service.get(authenticated, params={"width": 10})).status_code == 200
        assert (await member.get(authenticated, params={"width": 10})).status_code == 404
        assert (await client.get(authenticated)).status_code == 401
        assert (await render(client, private, "a.png", width=10)).status_code == 404

    async def test_a_signed_size_is_the_only_one(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        path = f"{STORAGE}/object/sign/{bucket.name}/a.png"
        body = {"expiresIn": 60, "transform": {"width": 40, "height": 20}}
        url = STORAGE + (await service.post(path, json=body)).json()["signedURL"]
        assert "/render/image/sign/" in url
        assert size_of(await client.get(url)) == (40, 20)
        assert (await client.get(f"{url}&width=2000")).status_code == 400
        wide = {"expiresIn": 60, "transform": {"width": 9999}}
        assert (await service.post(path, json=wide)).status_code == 400
