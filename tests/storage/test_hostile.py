"""What somebody who means harm would try next, and callers who get in each other's way."""

import asyncio
import io
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.fixtures.actors import Caller
from tests.fixtures.buckets import STORAGE, Bucket, allow, make_bucket
from undercroft.app import Application

PICTURE = "/api/v1/settings/profile-picture"
SCAN = b"\xff\xda"


@pytest_asyncio.fixture
async def bucket(service: Caller) -> Bucket:
    return await make_bucket(service)


def picture(width: int, height: int, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(target, kind, **options)
    return target.getvalue()


def endless_jpeg() -> bytes:
    """Its last scan is drawn five thousand times."""
    plain = picture(64, 64, "JPEG", progressive=True)
    last = plain[plain.rindex(SCAN) : -2]
    return plain[:-2] + last * 5000 + plain[-2:]


def transfer(bucket: Bucket, source: str, target: str) -> dict[str, str]:
    return {"bucketId": bucket.name, "sourceKey": source, "destinationKey": target}


class TestAtOnce:
    async def test_copies_that_cross_each_other_all_succeed(self, bucket: Bucket, service: Caller):
        for name in "ab":
            await bucket.upload(service, name, name.encode())

        async def copy(source: str, target: str) -> int:
            body = transfer(bucket, source, target)
            upsert = {"x-upsert": "true"}
            return (
                await service.post(f"{STORAGE}/object/copy", json=body, headers=upsert)
            ).status_code

        crossed = [copy(*pair) for pair in (("a", "b"), ("b", "a"), ("a", "a")) * 8]
        # One whose source was replaced after it was looked at finds nothing.
        assert set(await asyncio.gather(*crossed)) <= {200, 404}
        assert await bucket.names(service) == ["a", "b"]
        assert (await service.get(bucket.path("a"))).content in {b"a", b"b"}

    async def test_a_file_is_moved_once(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a")

        async def move(target: str) -> int:
            body = transfer(bucket, "a", target)
            return (await service.post(f"{STORAGE}/object/move", json=body)).status_code

        moved = await asyncio.gather(*[move(f"to-{number}") for number in range(20)])
        assert sorted(moved) == [200] + [404] * 19
        assert len(await bucket.names(service)) == 1

    async def test_removals_in_any_order(self, bucket: Bucket, service: Caller):
        names = [f"{number}.txt" for number in range(8)]
        for name in names:
            await bucket.upload(service, name)

        async def remove(prefixes: list[str]) -> list[Any]:
            path = f"{STORAGE}/object/{bucket.name}"
            answer = await service.request("DELETE", path, json={"prefixes": prefixes})
            assert answer.status_code == 200, answer.text
            return list(answer.json())

        removed = await asyncio.gather(*[remove(names[:: (-1) ** n]) for n in range(12)])
        assert sum(map(len, removed)) == len(names)


class TestSystemBuckets:
    async def test_a_public_one_is_read_and_never_changed(
        self, bucket: Bucket, service: Caller, member: Caller
    ):
        files = {"file": ("me.png", picture(64, 64), "image/png")}
        made = await member.post(PICTURE, files=files)
        assert made.status_code == 200, made.text
        system, name = made.json()["picture_url"].rpartition("/public/")[2].split("/", 1)
        assert system.startswith("_")
        for caller in (service, member):
            body = {"bucketId": system, "sourceKey": name, "destinationKey": "x"}
            moves = {**body, "destinationBucket": bucket.name}
            answer = await caller.post(f"{STORAGE}/object/move", json=moves)
            assert answer.status_code == 404, answer.text
            assert (await caller.post(f"{STORAGE}/object/move", json=body)).status_code == 404
            upload = await caller.put(f"{STORAGE}/object/{system}/{name}", content=b"x")
            assert upload.status_code == 404
            assert (await caller.delete(f"{STORAGE}/object/{system}/{name}")).status_code == 404
            assert (await caller.post(f"{STORAGE}/object/list/{system}", json={})).is_error
        assert (await service.get(f"{STORAGE}/object/public/{system}/{name}")).status_code == 200


class TestImages:
    @pytest.mark.parametrize(
        "query",
        [
            {"width": 2500},
            {"width": 2500, "height": 1, "resize": "fill"},
            {"width": 2500, "height": 2500, "resize": "fill"},
        ],
    )
    async def test_a_thin_one_does_not_become_a_huge_one(
        self, bucket: Bucket, service: Caller, query: dict[str, Any]
    ):
        await bucket.upload(service, "thin.png", picture(1, 50_000), content_type="image/png")
        path = bucket.path("thin.png", "render/image/authenticated")
        assert (await service.get(path, params=query)).status_code == 413
        fit = {"width": 100, "height": 100, "resize": "contain"}
        assert (await service.get(path, params=fit)).status_code == 200

    async def test_one_of_endless_scans_is_not_drawn(
        self, bucket: Bucket, service: Caller, member: Caller
    ):
        content = endless_jpeg()
        await bucket.upload(service, "a.jpg", content, content_type="image/jpeg")
        path = bucket.path("a.jpg", "render/image/authenticated")
        assert (await service.get(path, params={"width": 10})).status_code == 400
        files = {"file": ("a.jpg", content, "image/jpeg")}
        refused = await member.post(PICTURE, files=files)
        assert refused.status_code == 422, refused.text
        usual = picture(64, 64, "JPEG", progressive=True)
        await bucket.upload(service, "b.jpg", usual, content_type="image/jpeg")
        path = bucket.path("b.jpg", "render/image/authenticated")
        assert (await service.get(path, params={"width": 10})).status_code == 200

    async def test_a_token_for_a_small_one_does_not_give_the_original(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        await bucket.upload(service, "a.png", picture(90, 90), content_type="image/png")
        path = f"{STORAGE}/object/sign/{bucket.name}/a.png"
        body = {"expiresIn": 60, "transform": {"width": 10}}
        url = STORAGE + (await service.post(path, json=body)).json()["signedURL"]
        assert (await client.get(url)).status_code == 200
        original = await client.get(url.replace("/render/image/sign/", "/object/sign/"))
        assert original.status_code == 400


class TestCaches:
    @pytest.mark.parametrize(
        "said",
        ["public, s-maxage=31536000, max-age=60", "Public, S-MaxAge=31536000, Max-Age=60"],
    )
    async def test_what_is_private_is_kept_by_nobody_else(
        self, bucket: Bucket, service: Caller, client: httpx.AsyncClient, said: str
    ):
        await bucket.upload(service, "a.txt", cache_control=said)
        found = await service.get(bucket.path("a.txt"))
        assert found.headers["cache-control"].lower() == "private, max-age=60"
        assert "authorization" in found.headers["vary"].lower()
        sign = f"{STORAGE}/object/sign/{bucket.name}/a.txt"
        url = (await service.post(sign, json={"expiresIn": 60})).json()["signedURL"]
        signed = (await client.get(STORAGE + url)).headers["cache-control"]
        seconds = signed.removeprefix("private, max-age=")
        assert seconds.isdigit(), signed
        assert int(seconds) <= 60

    async def test_descriptions_are_asked_for_anew(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a.txt")
        told = await service.get(bucket.path("a.txt", "object/info"))
        assert told.headers["cache-control"] == "no-cache, private"


class TestRanges:
    @pytest.mark.parametrize(
        ("header", "status"),
        [
            ("lines=0-1", 200),
            ("bytes=x", 200),
            (f"bytes=0-{'9' * 5000}", 200),
            ("bytes=-99", 206),
            ("bytes=5-", 416),
            (f"bytes={'0-0,' * 500}1-1", 416),
        ],
    )
    async def test_odd_ones(self, bucket: Bucket, service: Caller, header: str, status: int):
        await bucket.upload(service, "a.txt", b"hello")
        found = await service.get(bucket.path("a.txt"), headers={"Range": header})
        assert found.status_code == status


class TestForms:
    @pytest.mark.parametrize("where", ["second file", "epilogue", "field", "head"])
    async def test_what_surrounds_the_file_is_bounded(
        self, bucket: Bucket, service: Caller, where: str
    ):
        much = b"x" * 300_000
        file = b'--b\r\nContent-Disposition: form-data; name=""; filename="a"\r\n\r\nhello\r\n'
        more = {
            "second file": file.replace(b"hello", much) + b"--b--\r\n",
            "epilogue": b"--b--\r\n" + much,
            "field": b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
            + much
            + b"\r\n--b--\r\n",
            "head": b"--b\r\nX-Long: " + much + b"\r\n\r\n\r\n--b--\r\n",
        }[where]
        kind = {"Content-Type": "multipart/form-data; boundary=b"}

        async def pieces() -> Any:
            content = file + more
            for start in range(0, len(content), 65_536):
                yield content[start : start + 65_536]

        answer = await service.post(bucket.path("a"), content=pieces(), headers=kind)
        assert answer.status_code in {400, 413}, answer.text
        assert await bucket.names(service) == []

    async def test_a_boundary_longer_than_any(self, bucket: Bucket, service: Caller):
        kind = {"Content-Type": "multipart/form-data; boundary=" + "b" * 300}
        answer = await service.post(bucket.path("a"), content=b"--b", headers=kind)
        assert answer.status_code == 400, answer.text

    async def test_a_file_in_tiny_pieces(self, bucket: Bucket, service: Caller):
        async def pieces() -> Any:
            for _ in range(20_000):
                yield b"x"

        kind = {"Content-Type": "text/plain"}
        answer = await service.post(bucket.path("a"), content=pieces(), headers=kind)
        assert answer.status_code == 200
        assert (await service.get(bucket.path("a"))).content == b"x" * 20_000


# What code of a customer, run as a caller, could try: bytes under a row of one's own, or none.
THEFTS = (
    "INSERT INTO storage.objects (bucket_id, name, blob_id) VALUES (:bucket, 'mine', :blob)",
    "UPDATE storage.objects SET blob_id = :blob WHERE bucket_id = :bucket AND name = 'own'",
    "UPDATE storage.objects SET blob_id = NULL WHERE bucket_id = :bucket AND name = 'own'",
    """INSERT INTO storage.objects (bucket_id, name, blob_id) VALUES (:bucket, 'own', :blob)
       ON CONFLICT (bucket_id, name) DO UPDATE SET blob_id = excluded.blob_id""",
)


async def steal(app: Application, theft: str, role: str, values: dict[str, str]) -> None:
    given = {name: value for name, value in values.items() if f":{name}" in theft}
    async with app.parts.database.unit_of_work() as session:
        # The bytes are let go of in this transaction, and are not its own for that.
        await session.execute(
            text("UPDATE storage.blobs SET sweep_after = now() WHERE id = :blob"),
            {"blob": values["blob"]},
        )
        await session.execute(text(f"SET LOCAL ROLE {role}"))
        await session.execute(text(theft), given)


@pytest.mark.parametrize("role", ["authenticated", "service_role"])
async def test_nobody_puts_bytes_of_another_file_under_a_row(
    app: Application, bucket: Bucket, service: Caller, admin: Caller, role: str
):
    await allow(admin, bucket)
    for name in ("secret", "own"):
        assert (await bucket.upload(service, name, name.encode())).status_code == 200
    secret = (await service.get(bucket.path("secret", "object/info"))).json()["version"]
    for theft in THEFTS:
        with pytest.raises(DBAPIError, match="bytes of another file"):
            await steal(app, theft, role, {"bucket": bucket.name, "blob": secret})
    assert (await service.get(bucket.path("own"))).content == b"own"


async def test_bytes_come_in_within_a_savepoint_too(app: Application, bucket: Bucket):
    """Whose number is not that of the transaction that the caller's row is compared with."""
    async with app.parts.database.unit_of_work() as session:
        await session.execute(text("SELECT pg_current_xact_id()"))
        async with session.begin_nested():
            blob = await session.scalar(
                text("INSERT INTO storage.blobs (id) VALUES (gen_random_uuid()) RETURNING id")
            )
            await session.execute(text("SET LOCAL ROLE service_role"))
            await session.execute(
                text("INSERT INTO storage.objects (bucket_id, name, blob_id) VALUES (:b, 'a', :i)"),
                {"b": bucket.name, "i": blob},
            )
        await session.rollback()
