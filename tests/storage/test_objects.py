"""Files over HTTP: uploads, downloads, moves, removal, and what each caller may."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller
from tests.fixtures.buckets import OWN_FOLDER, STORAGE, Bucket, allow, make_bucket


@pytest_asyncio.fixture
async def bucket(service: Caller) -> Bucket:
    return await make_bucket(service)


@pytest_asyncio.fixture
async def public(service: Caller) -> Bucket:
    return await make_bucket(service, public=True)


def refused(answer: httpx.Response, status: int, error: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["statusCode"], body["error"]) == (str(status), error), body
    assert body["message"]


class TestUpload:
    async def test_comes_back_as_it_went(self, bucket: Bucket, service: Caller):
        answer = await bucket.upload(service, "folder/a.txt", b"hello", cache_control="max-age=60")
        assert answer.status_code == 200
        assert answer.json()["Key"] == f"{bucket.name}/folder/a.txt"
        found = await service.get(bucket.path("folder/a.txt"))
        assert (found.status_code, found.content) == (200, b"hello")
        assert found.headers["content-type"] == "text/plain"
        assert found.headers["cache-control"] == "private, max-age=60"
        assert found.headers["content-length"] == "5"

    async def test_a_form_with_fields_on_either_side(self, bucket: Bucket, service: Caller):
        files = [
            ("cacheControl", (None, b"120")),
            ("", ("a.txt", io.BytesIO(b"x" * 300_000), "text/plain")),
            ("metadata", (None, b'{"colour": "red"}')),
        ]
        answer = await service.post(bucket.path("form.txt"), files=files)
        assert answer.status_code == 200, answer.text
        told = (await service.get(bucket.path("form.txt", "object/info"))).json()
        assert (told["size"], told["content_type"]) == (300_000, "text/plain")
        assert (told["cache_control"], told["metadata"]) == ("max-age=120", {"colour": "red"})

    async def test_metadata_in_a_header(self, bucket: Bucket, service: Caller):
        encoded = base64.b64encode(b'{"a": 1}').decode()
        assert (await bucket.upload(service, "a", x_metadata=encoded)).status_code == 200
        told = (await service.get(bucket.path("a", "object/info"))).json()
        assert told["metadata"] == {"a": 1}
        wrong = await bucket.upload(service, "b", x_metadata="not base64")
        refused(wrong, 400, "InvalidRequest")

    async def test_a_second_one_is_a_duplicate_unless_it_may_replace(
        self, bucket: Bucket, service: Caller
    ):
        assert (await bucket.upload(service, "a", b"one")).status_code == 200
        refused(await bucket.upload(service, "a", b"two"), 409, "Duplicate")
        assert (await service.get(bucket.path("a"))).content == b"one"
        assert (await bucket.upload(service, "a", b"two", x_upsert="true")).status_code == 200
        assert (await service.get(bucket.path("a"))).content == b"two"
        put = await service.put(bucket.path("a"), content=b"three")
        assert put.status_code == 200
        assert (await service.get(bucket.path("a"))).content == b"three"

    async def test_twenty_at_once_have_one_winner(self, bucket: Bucket, service: Caller):
        contents = [f"content {number}".encode() * 1000 for number in range(20)]
        answers = await asyncio.gather(
            *(bucket.upload(service, "race", content) for content in contents)
        )
        assert sorted(answer.status_code for answer in answers) == [200, *[409] * 19]
        won = next(i for i, answer in enumerate(answers) if answer.status_code == 200)
        assert (await service.get(bucket.path("race"))).content == contents[won]

    async def test_twenty_that_replace_end_with_one_whole_file(
        self, bucket: Bucket, service: Caller
    ):
        contents = [bytes([65 + number]) * 50_000 for number in range(20)]
        answers = await asyncio.gather(
            *(bucket.upload(service, "race", content, x_upsert="true") for content in contents)
        )
        assert {answer.status_code for answer in answers} == {200}
        assert (await service.get(bucket.path("race"))).content in contents

    async def test_bucket_limits(self, service: Caller):
        bucket = await make_bucket(
            service, file_size_limit="1KB", allowed_mime_types=["image/*", "text/plain"]
        )
        assert (await bucket.upload(service, "a", b"x" * 1024)).status_code == 200
        refused(await bucket.upload(service, "b", b"x" * 1025), 413, "Payload too large")

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 100

        chunked = await service.post(
            bucket.path("c"), content=pieces(), headers={"Content-Type": "text/plain"}
        )
        refused(chunked, 413, "Payload too large")
        page = b"<html><script>alert(1)</script>"
        disguised = await bucket.upload(service, "d.png", page, content_type="image/png")
        refused(disguised, 415, "invalid_mime_type")
        assert await bucket.names(service) == ["a"]

    async def test_a_missing_bucket(self, service: Caller):
        refused(await Bucket("nowhere").upload(service, "a"), 404, "Bucket not found")

    async def test_an_empty_file(self, bucket: Bucket, service: Caller):
        assert (await bucket.upload(service, "empty", b"")).status_code == 200
        found = await service.get(bucket.path("empty"))
        assert (found.status_code, found.content) == (200, b"")

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({"Content-Type": "multipart/form-data"}, b"x"),
            ({"Content-Type": "multipart/form-data; boundary=b"}, b"nonsense"),
            ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\n\r\n"),
            (
                {"Content-Type": "multipart/form-data; boundary=b"},
                b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n',
            ),
            (
                {"Content-Type": "multipart/form-data; boundary=b"},
                b'--b\r\nContent-Disposition: form-data; name=""; filename="a"\r\n\r\nhalf',
            ),
            ({"Cache-Control": "max-age=1\x7f"}, b"x"),
        ],
    )
    async def test_broken_bodies(
        self, bucket: Bucket, service: Caller, headers: dict[str, str], body: bytes
    ):
        answer = await service.post(bucket.path("a"), content=body, headers=headers)
        refused(answer, 400, "InvalidRequest")
        assert await bucket.names(service) == []

    async def test_endless_form_fields(self, bucket: Bucket, service: Caller):
        form = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 200_000
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await service.post(bucket.path("a"), content=form, headers=headers)
        refused(answer, 413, "EntityTooLarge")


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["a%20b.txt", "%C3%BC/%E6%97%A5.txt", "a%2Bb%26c.txt", "100%25.txt", "%3Fq%23.txt"],
    )
    async def test_are_kept(self, bucket: Bucket, service: Caller, name: str):
        assert (await bucket.upload(service, name)).status_code == 200
        assert (await service.get(bucket.path(name))).content == b"hello"
        assert await bucket.names(service) == [httpx.URL(f"http://x/{name}").path[1:]]

    @pytest.mark.parametrize(
        "name",
        [
            "%2e%2e/%2e%2e/etc/passwd",
            "a/%2e%2e/b",
            "a%00b",
            "a%5cb",
            "a%0d%0aX-Evil:1",
            "x" * 1025,
            "a%E2%80%AEgnp.exe",
            "%FF%FE",
            "a//b",
            "a/",
        ],
    )
    async def test_are_refused(self, bucket: Bucket, service: Caller, name: str):
        refused(await bucket.upload(service, name), 400, "InvalidKey")
        refused(await service.get(bucket.path(name)), 400, "InvalidKey")

    async def test_two_spellings_are_one_name(self, bucket: Bucket, service: Caller):
        assert (await bucket.upload(service, "%C3%BC.txt")).status_code == 200
        assert (await service.get(bucket.path("u%CC%88.txt"))).content == b"hello"
        refused(await bucket.upload(service, "u%CC%88.txt"), 409, "Duplicate")


class TestDownload:
    async def test_what_runs_in_a_browser_is_only_downloaded(
        self, public: Bucket, service: Caller, client: httpx.AsyncClient
    ):
        page = b"<html><script>alert(1)</script>"
        drawing = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
        for name, content, kind in (
            ("page.html", page, "text/html"),
            ("page.png", page, "image/png"),
            ("drawing.svg", drawing, "image/svg+xml"),
            ("script.js", b"alert(1)", "application/javascript"),
        ):
            uploaded = await public.upload(service, name, content, content_type=kind)
            assert uploaded.status_code == 200
            found = await client.get(public.path(name, "object/public"))
            assert found.headers["content-disposition"].startswith("attachment")
            assert found.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in found.headers["content-security-policy"]
            assert found.headers["content-type"] != "image/png"

    async def test_download_names_the_file(self, public: Bucket, service: Caller):
        await public.upload(service, "folder/%C3%BC.txt")
        path = public.path("folder/%C3%BC.txt", "object/public")
        plain = await service.get(path)
        assert "content-disposition" not in plain.headers
        named = await service.get(path, params={"download": ""})
        assert "filename*=UTF-8''%C3%BC.txt" in named.headers["content-disposition"]
        other = await service.get(path, params={"download": 'x"\r\nSet-Cookie: a=b'})
        assert other.status_code == 200
        assert "set-cookie" not in other.headers

    async def test_conditions(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a")
        path = bucket.path("a")
        first = await service.get(path)
        tag, changed = first.headers["etag"], first.headers["last-modified"]
        for headers, status in (
            ({"If-None-Match": tag}, 304),
            ({"If-None-Match": f'"other", W/{tag}'}, 304),
            ({"If-None-Match": "*"}, 304),
            ({"If-None-Match": '"other"'}, 200),
            ({"If-Modified-Since": changed}, 304),
            ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
            ({"If-Modified-Since": "nonsense"}, 200),
            ({"If-Match": tag}, 200),
            ({"If-Match": '"other"'}, 412),
            ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
        ):
            answer = await service.get(path, headers=headers)
            assert answer.status_code == status, headers
            assert answer.content == (b"hello" if status == 200 else b"")
        await bucket.upload(service, "a", b"other", x_upsert="true")
        assert (await service.get(path, headers={"If-None-Match": tag})).content == b"other"

    async def test_ranges(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a", b"0123456789")
        path = bucket.path("a")
        tag = (await service.get(path)).headers["etag"]
        for given, expected, described in (
            ("bytes=0-3", b"0123", "bytes 0-3/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=-2", b"89", "bytes 8-9/10"),
            ("bytes=8-100", b"89", "bytes 8-9/10"),
            ("bytes=0-1,2-3", b"0123", "bytes 0-3/10"),
        ):
            answer = await service.get(path, headers={"Range": given})
            assert (answer.status_code, answer.content) == (206, expected)
            assert answer.headers["content-range"] == described
        for ignored in ("bytes=x", "nonsense", "bytes=5-2", "items=0-1,x", "bytes=0-3,1-2"):
            answer = await service.get(path, headers={"Range": ignored})
            assert (answer.status_code, answer.content) == (200, b"0123456789"), ignored
        for outside in ("bytes=10-", "bytes=100-200"):
            answer = await service.get(path, headers={"Range": outside})
            refused(answer, 416, "invalid_range")
            assert answer.headers["content-range"] == "bytes */10"
        for validator, status in ((tag, 206), ('"other"', 200), (f"W/{tag}", 200)):
            headers = {"Range": "bytes=0-1", "If-Range": validator}
            assert (await service.get(path, headers=headers)).status_code == status
        told = await service.request("HEAD", path, headers={"Range": "bytes=0-1"})
        assert (told.status_code, told.headers["content-length"]) == (200, "10")

    async def test_several_ranges(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a", b"0123456789")
        answer = await service.get(bucket.path("a"), headers={"Range": "bytes=0-1,5-6,-1"})
        assert answer.status_code == 206
        assert len(answer.content) == int(answer.headers["content-length"])
        parts = answer.content.split(b"\r\n\r\n")
        assert [part[: len(w)] for part, w in zip(parts[1:], (b"01", b"56", b"9"), strict=True)]
        assert b"Content-Range: bytes 5-6/10" in answer.content

    async def test_a_storm_of_ranges_is_refused(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a", b"0123456789")
        storm = "bytes=" + ",".join(["0-0,2-2,4-4"] * 500)
        answer = await service.get(bucket.path("a"), headers={"Range": storm})
        refused(answer, 416, "invalid_range")

    async def test_head_tells_without_the_bytes(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a")
        answer = await service.request("HEAD", bucket.path("a"))
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == "5"
        assert (await service.request("HEAD", bucket.path("b"))).status_code == 404

    async def test_routes_and_methods_that_are_not_there(self, service: Caller):
        assert (await service.get(f"{STORAGE}/nothing")).status_code == 404
        assert (await service.patch(f"{STORAGE}/bucket")).status_code == 405
        assert (await service.get(STORAGE)).status_code == 404


class TestAccess:
    async def test_nobody_gets_in_before_a_policy(
        self, bucket: Bucket, service: Caller, member: Caller, api_keys: dict[str, str]
    ):
        await bucket.upload(service, "secret.txt")
        path = bucket.path("secret.txt")
        client = member.client
        refused(await client.get(path), 401, "Unauthorized")
        bad = {"Authorization": "Bearer nonsense"}
        refused(await client.get(path, headers=bad), 401, "Unauthorized")
        anon = {"apikey": api_keys["anon"]}
        refused(await client.get(path, headers=anon), 404, "not_found")
        refused(await member.get(path), 404, "not_found")
        public = await client.get(bucket.path("secret.txt", "object/public"))
        refused(public, 404, "not_found")
        refused(await bucket.upload(member, "mine.txt"), 403, "Unauthorized")
        refused(await bucket.upload(member, "secret.txt", x_upsert="true"), 403, "Unauthorized")
        refused(await member.delete(path), 404, "not_found")
        removed = await member.request(
            "DELETE", f"{STORAGE}/object/{bucket.name}", json={"prefixes": ["secret.txt"]}
        )
        assert removed.json() == []
        assert await bucket.names(member) == []
        listed = await member.post(f"{STORAGE}/object/list/{bucket.name}", json={"prefix": ""})
        assert listed.json() == []
        signed = await member.post(
            f"{STORAGE}/object/sign/{bucket.name}/secret.txt", json={"expiresIn": 60}
        )
        refused(signed, 404, "not_found")
        assert (await service.get(path)).content == b"hello"

    async def test_refusals_come_before_the_body_is_read(self, bucket: Bucket, member: Caller):
        read = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal read
            for _ in range(100):
                read += 1
                yield b"x" * 1000

        refused(await member.post(bucket.path("a"), content=body()), 403, "Unauthorized")
        assert read == 0

    async def test_everyone_in_a_folder_of_their_own(
        self, bucket: Bucket, admin: Caller, service: Caller, member: Caller, outsider: Caller
    ):
        await allow(admin, bucket, where=OWN_FOLDER)
        for caller in (member, outsider):
            assert (await bucket.upload(caller, f"{caller.id}/a.txt")).status_code == 200
        theirs = f"{member.id}/a.txt"
        assert await bucket.names(member) == [theirs]
        refused(await outsider.get(bucket.path(theirs)), 404, "not_found")
        refused(await bucket.upload(outsider, f"{member.id}/b.txt"), 403, "Unauthorized")
        refused(
            await bucket.upload(outsider, theirs, b"stolen", x_upsert="true"), 403, "Unauthorized"
        )
        refused(await outsider.delete(bucket.path(theirs)), 404, "not_found")
        for verb in ("move", "copy"):
            for source, target in (
                (theirs, f"{outsider.id}/stolen.txt"),
                (f"{outsider.id}/a.txt", f"{member.id}/planted.txt"),
            ):
                body = {
                    "bucketId": bucket.name,
                    "sourceKey": source,
                    "destinationKey": target,
                }
                answer = await outsider.post(f"{STORAGE}/object/{verb}", json=body)
                assert answer.status_code in {403, 404}, (verb, source, answer.text)
        assert sorted(await bucket.names(service)) == sorted(
            f"{caller.id}/a.txt" for caller in (member, outsider)
        )
        assert (await member.get(bucket.path(theirs))).content == b"hello"

    async def test_inserting_takes_no_right_to_read_or_replace(
        self, bucket: Bucket, admin: Caller, member: Caller, service: Caller
    ):
        await allow(admin, bucket, "insert")
        assert (await bucket.upload(member, "dropped.txt", b"one")).status_code == 200
        refused(await member.get(bucket.path("dropped.txt")), 404, "not_found")
        replaced = await bucket.upload(member, "dropped.txt", b"two", x_upsert="true")
        refused(replaced, 403, "Unauthorized")
        put = await member.put(bucket.path("dropped.txt"), content=b"two")
        refused(put, 403, "Unauthorized")
        assert (await service.get(bucket.path("dropped.txt"))).content == b"one"

    async def test_seeing_is_not_changing(
        self, bucket: Bucket, admin: Caller, member: Caller, service: Caller
    ):
        await bucket.upload(service, "a.txt")
        await allow(admin, bucket, "select")
        assert (await member.get(bucket.path("a.txt"))).status_code == 200
        refused(await member.delete(bucket.path("a.txt")), 403, "Unauthorized")
        body = {"bucketId": bucket.name, "sourceKey": "a.txt", "destinationKey": "b.txt"}
        moved = await member.post(f"{STORAGE}/object/move", json=body)
        refused(moved, 403, "Unauthorized")
        copied = await member.post(f"{STORAGE}/object/copy", json=body)
        refused(copied, 403, "Unauthorized")
        revoked = await member.delete(f"{STORAGE}/object/sign/{bucket.name}/a.txt")
        refused(revoked, 403, "Unauthorized")
        assert await bucket.names(service) == ["a.txt"]

    async def test_owners_and_metadata_are_there_for_policies(
        self, bucket: Bucket, admin: Caller, member: Caller, outsider: Caller
    ):
        await allow(admin, bucket, "insert")
        await allow(admin, bucket, "select", where="owner_id = (select auth.uid()::text)")
        assert (await bucket.upload(member, "a.txt")).status_code == 200
        assert await bucket.names(member) == ["a.txt"]
        assert await bucket.names(outsider) == []

    async def test_a_public_bucket_is_read_by_everyone_and_written_by_nobody(
        self, public: Bucket, service: Caller, member: Caller, client: httpx.AsyncClient
    ):
        await public.upload(service, "a.txt")
        found = await client.get(public.path("a.txt", "object/public"))
        assert (found.status_code, found.content) == (200, b"hello")
        assert found.headers["cache-control"].startswith("public")
        assert (await member.get(public.path("a.txt"))).status_code == 200
        assert await public.names(member) == []
        refused(await public.upload(member, "b.txt"), 403, "Unauthorized")

    async def test_system_buckets_are_nobodys(
        self, service: Caller, admin: Caller, client: httpx.AsyncClient
    ):
        ours = Bucket("_pictures")
        for caller in (service, admin):
            refused(await ours.upload(caller, "a"), 404, "Bucket not found")
            refused(await caller.get(ours.path("a")), 404, "not_found")
            created = await caller.post(f"{STORAGE}/bucket", json={"name": "_pictures"})
            refused(created, 400, "Invalid Input")
            for verb, path in (("GET", ""), ("DELETE", ""), ("POST", "/empty")):
                answer = await caller.request(verb, f"{STORAGE}/bucket/_pictures{path}")
                refused(answer, 404, "Bucket not found")
        assert (await client.get(ours.path("a", "object/public"))).status_code == 404

    async def test_only_policies_of_our_tables_can_be_changed(self, admin: Caller):
        objects = "/api/v1/tables/objects"
        schema = {"schema": "storage"}
        assert (await admin.get(f"{objects}/policies", params=schema)).status_code == 200
        assert (await admin.get(objects, params=schema)).status_code == 404
        assert (await admin.delete(objects, params=schema)).status_code == 404
        column = {"name": "x", "type": "text"}
        added = await admin.post(f"{objects}/columns", params=schema, json=column)
        assert added.status_code == 404
        for table in ("blobs", "uploads", "usage"):
            path = f"/api/v1/tables/{table}/policies"
            assert (await admin.get(path, params=schema)).status_code == 404


class TestChanging:
    async def test_moving_and_copying(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a.txt")
        other = await make_bucket(service)
        body = {"bucketId": bucket.name, "sourceKey": "a.txt", "destinationKey": "b/c.txt"}
        copied = await service.post(f"{STORAGE}/object/copy", json=body)
        assert copied.json()["Key"] == f"{bucket.name}/b/c.txt"
        body = body | {"destinationBucket": other.name}
        moved = await service.post(f"{STORAGE}/object/move", json=body)
        assert moved.json()["message"] == "Successfully moved"
        assert await bucket.names(service) == ["b/c.txt"]
        assert await other.names(service) == ["b/c.txt"]
        assert (await service.get(other.path("b/c.txt"))).content == b"hello"
        await service.delete(other.path("b/c.txt"))
        assert (await service.get(bucket.path("b/c.txt"))).content == b"hello"

    async def test_what_is_there_is_not_moved_over(self, bucket: Bucket, service: Caller):
        for name in "ab":
            await bucket.upload(service, name, name.encode())
        body = {"bucketId": bucket.name, "sourceKey": "a", "destinationKey": "b"}
        for verb in ("move", "copy"):
            refused(await service.post(f"{STORAGE}/object/{verb}", json=body), 409, "Duplicate")
        copied = await service.post(
            f"{STORAGE}/object/copy", json=body, headers={"x-upsert": "true"}
        )
        assert copied.status_code == 200
        assert (await service.get(bucket.path("b"))).content == b"a"

    async def test_the_other_buckets_limits_hold(self, bucket: Bucket, service: Caller):
        await bucket.upload(service, "a", b"hello")
        small = await make_bucket(service, file_size_limit=3)
        images = await make_bucket(service, allowed_mime_types=["image/png"])
        for verb in ("move", "copy"):
            for target, status in ((small, 413), (images, 415), (Bucket("nowhere"), 404)):
                body = {
                    "bucketId": bucket.name,
                    "sourceKey": "a",
                    "destinationKey": "a",
                    "destinationBucket": target.name,
                }
                answer = await service.post(f"{STORAGE}/object/{verb}", json=body)
                assert answer.status_code == status

    async def test_removal_says_what_is_gone(self, bucket: Bucket, service: Caller):
        for name in ("a", "b/c"):
            await bucket.upload(service, name)
        path = f"{STORAGE}/object/{bucket.name}"
        body = {"prefixes": ["a", "b/c", "nothing"]}
        gone = (await service.request("DELETE", path, json=body)).json()
        assert sorted(entry["name"] for entry in gone) == ["a", "b/c"]
        assert gone[0]["bucket_id"] == bucket.name
        assert await bucket.names(service) == []
        refused(await service.delete(bucket.path("a")), 404, "not_found")

    @pytest.mark.parametrize("body", ["{", "[]", '{"prefixes": "a"}', '{"prefixes": [1]}', "null"])
    async def test_bad_json(self, bucket: Bucket, service: Caller, body: str):
        path = f"{STORAGE}/object/{bucket.name}"
        answer = await service.request("DELETE", path, content=body)
        refused(answer, 400, "InvalidRequest")
