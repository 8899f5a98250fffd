"""Small files go in by one statement: nothing that large ones promise may get lost on that way."""

import asyncio
from collections import Counter

import pytest_asyncio

from tests.fixtures.actors import Caller
from tests.fixtures.buckets import POLICIES, STORAGE, Bucket, make_bucket

ACTIVITY = "/api/v1/activity"


@pytest_asyncio.fixture
async def known(service: Caller) -> Bucket:
    """A bucket that the service key was let into already."""
    bucket = await make_bucket(service)
    assert (await bucket.upload(service, "first")).status_code == 200
    return bucket


async def info(caller: Caller, bucket: Bucket, name: str) -> dict[str, object]:
    answer = await caller.get(bucket.path(name, "object/info"))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def entries(service: Caller, target: object) -> list[dict[str, object]]:
    answer = await service.get(ACTIVITY, params={"target_id": str(target)})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_it_is_told_under_the_id_that_the_file_has(known: Bucket, service: Caller):
    answer = await known.upload(service, "a", b"one")
    told = await info(service, known, "a")
    assert answer.json()["Id"] == told["id"]
    [entry] = await entries(service, told["id"])
    assert (entry["action"], entry["metadata"]["name"]) == ("object.uploaded", "a")  # type: ignore[index]


async def test_what_replaces_a_file_keeps_its_id(known: Bucket, service: Caller):
    first = (await known.upload(service, "a", b"one")).json()["Id"]
    again = await known.upload(service, "a", b"two", x_upsert="true")
    assert (again.status_code, again.json()["Id"]) == (200, first)
    assert (await service.get(known.path("a"))).content == b"two"
    assert len(await entries(service, first)) == 2


async def test_a_form_of_few_bytes(known: Bucket, service: Caller):
    files = {"cacheControl": (None, b"120"), "": ("a.txt", b"hello", "text/plain")}
    assert (await service.post(known.path("form"), files=files)).status_code == 200
    told = await info(service, known, "form")
    assert (told["size"], told["content_type"], told["cache_control"]) == (
        5,
        "text/plain",
        "max-age=120",
    )


async def test_an_empty_file(known: Bucket, service: Caller):
    assert (await known.upload(service, "empty", b"")).status_code == 200
    found = await service.get(known.path("empty"))
    assert (found.status_code, found.content, found.headers["content-length"]) == (200, b"", "0")


async def test_of_thirty_at_once_one_makes_the_file(known: Bucket, service: Caller):
    answers = await asyncio.gather(
        *(known.upload(service, "one", str(number).encode()) for number in range(30))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 29}
    [won] = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert (await service.get(known.path("one"))).content == str(won).encode()


async def test_thirty_that_replace_each_other_leave_one_whole(known: Bucket, service: Caller):
    answers = await asyncio.gather(
        *(known.upload(service, "one", bytes([n]) * 500, x_upsert="true") for n in range(30))
    )
    assert {answer.status_code for answer in answers} == {200}
    found = (await service.get(known.path("one"))).content
    assert len(found) == 500
    assert len(set(found)) == 1


async def test_rights_that_were_lost_are_lost_at_once(known: Bucket, member: Caller, admin: Caller):
    rule = {"name": known.name, "command": "insert", "roles": ["authenticated"]}
    rule["check"] = f"bucket_id = '{known.name}'"
    assert (await admin.post(POLICIES, json=rule)).status_code == 201
    assert [(await known.upload(member, name)).status_code for name in "ab"] == [200, 200]
    path, _, schema = POLICIES.partition("?")
    assert (await admin.delete(f"{path}/{known.name}?{schema}")).status_code in {200, 204}
    refused = [(await known.upload(member, name)).status_code for name in "cd"]
    assert refused == [403, 403]
    assert await known.names(admin) == ["a", "b", "first"]


async def test_limits_that_changed_hold_at_once(known: Bucket, service: Caller):
    changed = {"file_size_limit": 10, "allowed_mime_types": ["text/*"], "public": False}
    answer = await service.put(f"{STORAGE}/bucket/{known.name}", json=changed)
    assert answer.status_code == 200, answer.text
    assert (await known.upload(service, "long", b"x" * 11)).status_code == 413
    image = b"\x89PNG\r\n\x1a\n"
    refused = await known.upload(service, "image", image, content_type="image/png")
    assert refused.status_code == 415
    assert (await known.upload(service, "short", b"x" * 10)).status_code == 200


async def test_a_bucket_that_is_gone_takes_nothing(known: Bucket, service: Caller):
    assert (await service.post(f"{STORAGE}/bucket/{known.name}/empty")).status_code == 200
    assert (await service.delete(f"{STORAGE}/bucket/{known.name}")).status_code == 200
    assert (await known.upload(service, "late")).status_code == 404
