"""Uploads of accounts: by form and by URL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from tests.fixtures.actors import Caller, make_group, promoted
from tests.fixtures.lists import check_orders, ids_of
from tests.fixtures.targets import Reply, answer, target
from tests.storage.media_support import (
    API,
    MEDIA,
    PICTURE,
    PNG,
    form,
    objects,
    picture,
    served,
    uploaded,
)
from tests.webhooks.conftest import Office
from undercroft.identity.users.erasure import erase_deleted, export_user
from undercroft.wings import PERSONAL

PATIENCE = 60
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


async def finished(caller: Caller, made: httpx.Response) -> dict[str, Any]:
    """Wait until an upload by URL has ended in one way or the other."""
    assert made.status_code == 202, made.text
    async with asyncio.timeout(PATIENCE):
        while True:
            found = (await caller.get(f"{MEDIA}/{made.json()['id']}")).json()
            if found["state"] != "pending":
                return dict(found)
            await asyncio.sleep(0.02)


class TestForms:
    async def test_a_file_is_there_at_once_and_has_an_address(self, place: Office):
        person = await place.person()
        made = await uploaded(person)
        assert (made["state"], made["content_type"], made["size_bytes"], made["name"]) == (
            "stored",
            "image/png",
            len(PNG),
            "cat.png",
        )
        public = await place.client.get(urlsplit(made["url"]).path)
        assert (public.status_code, public.content) == (200, PNG)
        assert public.headers["x-content-type-options"] == "nosniff"
        listed = (await person.get(MEDIA, params={"count": "exact"})).json()
        assert (listed["items"], listed["total"]) == ([made], 1)
        content = await person.get(f"{MEDIA}/{made['id']}/content")
        assert content.content == PNG
        assert content.headers["x-content-type-options"] == "nosniff"
        assert content.headers["content-disposition"].startswith("attachment")

    async def test_one_with_a_key_is_kept_once(self, place: Office):
        person = await place.person()
        key = {"Idempotency-Key": "cat-1"}
        races = [person.post(MEDIA, **form(), headers=key) for _ in range(10)]
        answers = await asyncio.gather(*races)
        kept = {one.json()["id"] for one in answers if one.status_code == 201}
        assert len(kept) == 1
        others = {one.json()["code"] for one in answers if one.status_code != 201}
        assert others <= {"idempotency_key_in_use"}
        again = await person.post(MEDIA, **form(), headers=key)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
        assert {again.json()["id"]} == kept
        other = await person.post(MEDIA, **form(picture(30)), headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert await objects(place, person.id) == 1
        wish = {"url": "https://example.com/cat.png"}
        fetches = [await person.post(MEDIA, json=wish, headers={"Idempotency-Key": "cat-2"})]
        fetches.append(await person.post(MEDIA, json=wish, headers={"Idempotency-Key": "cat-2"}))
        assert {one.status_code for one in fetches} == {202}
        assert fetches[0].json()["id"] == fetches[1].json()["id"]

    async def test_a_private_file_has_no_address(self, place: Office):
        person = await place.person()
        made = await uploaded(person, public=False)
        assert (made["url"], made["public"]) == (None, False)
        assert (await person.get(f"{MEDIA}/{made['id']}/content")).content == PNG

    async def test_comes_in_parts_and_not_again(self, place: Office):
        person = await place.person()
        url = f"{MEDIA}/{(await uploaded(person, public=False))['id']}/content"
        part = await person.get(url, headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, PNG[1:4])
        assert part.headers["content-range"] == f"bytes 1-3/{len(PNG)}"
        assert part.headers["content-disposition"].startswith("attachment;")
        known = {"If-None-Match": part.headers["etag"]}
        assert (await person.get(url, headers=known)).status_code == 304
        beyond = await person.get(url, headers={"Range": "bytes=9999999-"})
        assert beyond.status_code == 416
        assert beyond.headers["content-range"] == f"bytes */{len(PNG)}"

    async def test_the_type_is_that_of_the_content(self, place: Office):
        person = await place.person()
        page = b"<!doctype html><script>alert(1)</script>"
        for content, name, kind in (
            (page, "cat.png", "image/png"),
            (b"MZ" + bytes(200), "cat.pdf", "application/pdf"),
            (b"MZ" + bytes(200), "cat.doc", "application/msword"),
            (b"MZ" + bytes(200), "cat.docx", WORD),
            (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "a.png", "image/png"),
        ):
            refused = await person.post(MEDIA, **form(content, name, kind))
            assert refused.status_code == 415, (name, refused.text)
        made = (await person.post(MEDIA, **form(PNG, "page.html", "text/html"))).json()
        assert made["content_type"] == "image/png"
        assert made["url"].endswith(".png")
        assert await objects(place, person.id) == 1

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\cat.png", "cat.png"),
            ("a\u202egnp.exe", "agnp.exe"),
            ("x" * 2000 + ".png", "x" * 255),
            ("..", ".."),
        ],
    )
    async def test_names_are_only_shown(self, place: Office, given: str, kept: str):
        person = await place.person()
        made = await person.post(MEDIA, **form(name=given))
        assert made.status_code == 201, made.text
        assert made.json()["name"] == kept
        assert person.id in made.json()["url"]
        content = await person.get(f"{MEDIA}/{made.json()['id']}/content")
        assert content.status_code == 200

    async def test_office_files_and_texts_are_taken(self, place: Office):
        person = await place.person()
        for content, name, kind in (
            (b"PK\x03\x04" + bytes(100), "a.docx", WORD),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a.pdf", "application/pdf"),
            (b"a,b\n1,2\n", "a.csv", "application/octet-stream"),
            (b"hello", "a.txt", "text/plain"),
        ):
            made = await person.post(MEDIA, **form(content, name, kind))
            assert made.status_code == 201, (name, made.text)

    @pytest.mark.parametrize(
        ("body", "kind", "code"),
        [
            (b"", "multipart/form-data; boundary=x", "upload_missing"),
            (b"--x--\r\n", "multipart/form-data; boundary=x", "upload_missing"),
            (b"nothing", "multipart/form-data; boundary=x", "upload_malformed"),
            (b"", "multipart/form-data; boundary=" + "x" * 300, "upload_malformed"),
            (b"file", "text/plain", "upload_missing"),
            (b"file", "multipart/form-data", "upload_missing"),
            (b"{}", "application/json", "upload_missing"),
            (b"[", "application/json", "upload_missing"),
            (
                b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
                "multipart/form-data; boundary=x",
                "upload_malformed",
            ),
            (
                b'--x\r\nContent-Disposition: form-data; name="b"; filename="a"\r\n\r\nc\r\n--x--',
                "multipart/form-data; boundary=x",
                "upload_missing",
            ),
            (
                b"--x\r\nA: " + b"b" * 20_000 + b"\r\n\r\nabc\r\n--x--\r\n",
                "multipart/form-data; boundary=x",
                "upload_malformed",
            ),
            (
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 30 + b"--x--",
                "multipart/form-data; boundary=x",
                "upload_malformed",
            ),
        ],
    )
    async def test_what_is_no_upload_is_told_so(
        self, place: Office, body: bytes, kind: str, code: str
    ):
        person = await place.person()
        refused = await person.post(MEDIA, content=body, headers={"Content-Type": kind})
        assert (refused.status_code, refused.json()["code"]) == (422, code)
        assert await objects(place, person.id) == 0

    async def test_an_empty_file_is_refused(self, place: Office):
        person = await place.person()
        refused = await person.post(MEDIA, **form(b""))
        assert refused.status_code in {415, 422}
        assert await objects(place, person.id) == 0

    async def test_a_file_is_cut_off_where_it_is_too_large(self, place: Office):
        person = await place.person()
        large = PNG + bytes(300_000)
        assert (await person.post(MEDIA, **form(large))).status_code == 413

        async def endless() -> AsyncIterator[bytes]:
            yield (
                b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + PNG
            )
            for _ in range(100):
                yield bytes(10_000)

        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        refused = await person.post(MEDIA, content=endless(), headers=kind)
        assert refused.status_code == 413
        assert await objects(place, person.id) == 0


class TestOwners:
    async def test_sort_and_search_theirs(self, place: Office):
        person = await place.person()
        for side, name in ((10, "100%.png"), (20, "Cat.png"), (30, "dog.png")):
            made = await person.post(MEDIA, **form(picture(side), name))
            assert made.status_code == 201, made.text
        await check_orders(person, MEDIA, ("created_at", "name", "size_bytes"))
        assert len(await ids_of(person, MEDIA, search="CAT")) == 1
        assert len(await ids_of(person, MEDIA, search="0%")) == 1
        assert await ids_of(person, MEDIA, search="100_") == []

    async def test_others_see_and_remove_nothing(self, place: Office):
        owner, other = await place.person(), await place.person("other")
        made = await uploaded(owner)
        path = f"{MEDIA}/{made['id']}"
        for refused in (
            await other.get(path),
            await other.get(f"{path}/content"),
            await other.delete(path),
        ):
            assert (refused.status_code, refused.json()["code"]) == (404, "media_not_found")
        assert (await other.get(MEDIA)).json()["items"] == []
        denied = await other.get(MEDIA, params={"owner_id": owner.id})
        assert denied.status_code == 403
        assert (await owner.get(path)).status_code == 200

    async def test_who_manages_uploads_may(self, place: Office):
        owner, keeper = await place.person(), await place.person("keeper")
        made = await uploaded(owner)
        group = await make_group(place.admin, "uploads:manage")
        await promoted(place.admin, keeper, group)
        listed = await keeper.get(MEDIA, params={"owner_id": owner.id})
        assert [entry["id"] for entry in listed.json()["items"]] == [made["id"]]
        assert (await keeper.delete(f"{MEDIA}/{made['id']}")).status_code == 204
        assert await served(place, made["url"]) is None

    async def test_a_removed_file_is_gone_everywhere(self, place: Office):
        person = await place.person()
        made = await uploaded(person)
        path = f"{MEDIA}/{made['id']}"
        races = [person.delete(path) for _ in range(10)]
        statuses = sorted(one.status_code for one in await asyncio.gather(*races))
        assert statuses == [204] + [404] * 9
        assert await served(place, made["url"]) is None
        assert await objects(place, person.id) == 0

    async def test_a_key_has_no_account_to_keep_files_for(self, place: Office):
        body = {"name": "key", "permissions": ["uploads:create"]}
        key = (await place.admin.post(f"{API}/api-keys", json=body)).json()["key"]
        refused = await place.client.post(MEDIA, **form(), headers={"apikey": key})
        assert refused.json()["code"] == "users_only"


class TestQuota:
    async def test_it_holds_when_many_come_at_once(self, place: Office):
        person = await place.person()
        large = PNG + bytes(140_000)
        races = [person.post(MEDIA, **form(large)) for _ in range(10)]
        answers = await asyncio.gather(*races)
        kept = [one for one in answers if one.status_code == 201]
        assert len(kept) == 3
        assert {one.json()["code"] for one in answers if one not in kept} == {"uploads_full"}
        assert await objects(place, person.id) == 3
        usage = (await person.get(f"{API}/upload/usage")).json()
        assert (usage["files"], usage["used_bytes"]) == (3, 3 * len(large))
        await person.delete(f"{MEDIA}/{kept[0].json()['id']}")
        await uploaded(person, large)

    async def test_so_does_the_number_of_files(self, place: Office):
        person = await place.person()
        races = [person.post(MEDIA, **form()) for _ in range(25)]
        statuses = [one.status_code for one in await asyncio.gather(*races)]
        assert (statuses.count(201), statuses.count(413)) == (20, 5)


class TestUrls:
    async def test_a_file_is_fetched_and_kept(self, place: Office):
        person = await place.person()
        async with target(answer(200, PNG, content_type="text/html")) as server:
            made = await finished(person, await person.post(MEDIA, json={"url": server.url()}))
        assert (made["state"], made["content_type"]) == ("stored", "image/png")
        assert await served(place, made["url"]) == PNG

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (answer(404), "not_found"),
            (answer(200, b"<html><script>1</script>"), "file_type_refused"),
            (answer(200, PNG + bytes(400_000)), "answer_too_large"),
            (answer(302, location="http://10.0.0.1/"), "target_refused"),
            (answer(302, location="/again"), "too_many_redirects"),
            (answer(200, b""), "file_type_refused"),
        ],
        ids=["missing", "page", "large", "inside", "circle", "empty"],
    )
    async def test_what_does_not_come_is_noted(self, place: Office, reply: Reply, error: str):
        person = await place.person()
        async with target(reply) as server:
            made = await finished(person, await person.post(MEDIA, json={"url": server.url()}))
        assert (made["state"], made["error"], made["url"]) == ("failed", error, None)
        assert await objects(place, person.id) == 0

    @pytest.mark.parametrize(
        "url",
        [
            "http://10.0.0.1/cat.png",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::ffff:10.0.0.1]/",
            "http://2130706433.example@10.0.0.1/",
            "http://localhost:5432/",
            "file:///etc/passwd",
            "http://user:password@files.example.com/",
        ],
    )
    async def test_targets_that_are_never_called_are_refused_at_once(self, place: Office, url: str):
        person = await place.person()
        refused = await person.post(MEDIA, json={"url": url})
        assert (refused.status_code, refused.json()["code"]) == (422, "upload_url_refused")

    async def test_few_may_be_under_way(self, place: Office):
        person = await place.person()
        release = asyncio.Event()

        async def slow(writer: asyncio.StreamWriter) -> None:
            await release.wait()
            await answer(200, PNG)(writer)

        async with target(slow) as server:
            races = [person.post(MEDIA, json={"url": server.url()}) for _ in range(12)]
            answers = await asyncio.gather(*races)
            made = [one for one in answers if one.status_code == 202]
            assert len(made) == 5
            others = {one.json()["code"] for one in answers if one not in made}
            assert others == {"too_many_fetches"}
            release.set()
            states = [(await finished(person, one))["state"] for one in made]
        assert states == ["stored"] * 5

    async def test_one_removed_while_it_comes_leaves_nothing(self, place: Office):
        person = await place.person()
        release = asyncio.Event()

        async def slow(writer: asyncio.StreamWriter) -> None:
            await release.wait()
            await answer(200, PNG)(writer)

        async with target(slow) as server:
            made = await person.post(MEDIA, json={"url": server.url()})
            await server.next()
            assert (await person.delete(f"{MEDIA}/{made.json()['id']}")).status_code == 204
            release.set()
            # One more behind it: when that is there, the first is over.
            after = await finished(person, await person.post(MEDIA, json={"url": server.url()}))
        assert after["state"] == "stored"
        assert await objects(place, person.id) == 1


async def test_nothing_is_left_of_an_erased_account(place: Office):
    person = await place.person()
    made = await uploaded(person)
    picture_url = (await person.post(PICTURE, **form())).json()["picture_url"]
    async with place.app.parts.database.unit_of_work() as session:
        found = await export_user(session, UUID(person.id), PERSONAL)
        assert [entry["id"] for entry in found["uploads"]] == [made["id"]]
    gone = await person.post(f"{API}/settings/delete-account", params={"confirm": True})
    assert gone.status_code == 204
    async with place.app.parts.database.unit_of_work() as session:
        now = await session.scalar(text("SELECT now() + interval '1 second'"))
        await erase_deleted(session, PERSONAL, before=now)
    assert await objects(place, person.id) == 0
    assert await served(place, made["url"]) is None
    assert await served(place, picture_url) is None
