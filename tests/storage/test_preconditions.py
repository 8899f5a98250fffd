"""Uploads and removals that hold only while the file is as its caller saw it."""

import asyncio

import pytest_asyncio

from tests.fixtures.actors import Caller
from tests.fixtures.buckets import Bucket, make_bucket

ONLY_NEW = {"If-None-Match": "*"}


@pytest_asyncio.fixture
async def bucket(service: Caller) -> Bucket:
    return await make_bucket(service)


async def tag_of(service: Caller, bucket: Bucket, name: str = "a") -> str:
    return str((await service.request("HEAD", bucket.path(name))).headers["etag"])


async def put(
    caller: Caller, bucket: Bucket, content: bytes, headers: dict[str, str], name: str = "a"
) -> int:
    return (await caller.put(bucket.path(name), content=content, headers=headers)).status_code


async def test_what_was_changed_meanwhile_is_not_replaced(bucket: Bucket, service: Caller):
    await bucket.upload(service, "a", b"first")
    seen = {"If-Match": await tag_of(service, bucket)}
    assert await put(service, bucket, b"second", seen) == 200
    for content in (b"third", b"x" * 100_000):
        assert await put(service, bucket, content, seen) == 412
    assert await put(service, bucket, b"x", {"If-Match": "*"}, name="none") == 412
    assert (await service.get(bucket.path("a"))).content == b"second"
    assert await put(service, bucket, b"third", {"If-Match": "*"}) == 200


async def test_what_is_there_is_not_replaced_by_what_should_be_new(bucket: Bucket, service: Caller):
    assert await put(service, bucket, b"first", ONLY_NEW) == 200
    assert await put(service, bucket, b"second", ONLY_NEW) == 412
    same = {"If-None-Match": await tag_of(service, bucket)}
    assert await put(service, bucket, b"second", same) == 412
    assert await put(service, bucket, b"second", {"If-None-Match": '"other"'}) == 200


async def test_of_many_at_once_one_holds(bucket: Bucket, service: Caller):
    made = [put(service, bucket, b"%d" % number, ONLY_NEW) for number in range(20)]
    assert sorted(await asyncio.gather(*made)) == [200] + [412] * 19
    seen = {"If-Match": await tag_of(service, bucket)}
    changed = [put(service, bucket, b"new %d" % number, seen) for number in range(20)]
    assert sorted(await asyncio.gather(*changed)) == [200] + [412] * 19


async def test_removal(bucket: Bucket, service: Caller, member: Caller):
    await bucket.upload(service, "a")
    path = bucket.path("a")
    stale = {"If-Match": '"other"'}
    assert (await member.delete(path, headers=stale)).status_code == 404
    assert (await service.delete(path, headers=stale)).status_code == 412
    seen = {"If-Match": await tag_of(service, bucket)}
    assert (await service.delete(path, headers=seen)).status_code == 200
    assert (await service.delete(path, headers=seen)).status_code == 404


async def test_rights_come_first(bucket: Bucket, service: Caller, member: Caller):
    await bucket.upload(service, "a")
    for headers in ({"If-Match": '"other"'}, {"If-Match": "*"}, ONLY_NEW):
        assert await put(member, bucket, b"x", headers) == 403
    assert (await service.get(bucket.path("a"))).content == b"hello"
