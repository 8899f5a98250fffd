"""Small files go in by one statement: nothing that large ones promise may get lost on that way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.fixtures.actors import Caller, unique
from tests.fixtures.app import make_client, running
from tests.fixtures.buckets import POLICIES, STORAGE, Bucket, make_bucket
from tests.fixtures.engines import EngineAddresses
from undercroft.app import Application, create_app
from undercroft.foundation.settings import Settings

ACTIVITY = "/api/v1/activity"
WEBHOOKS = "/api/v1/webhooks"
IMAGE = b"\x89PNG\r\n\x1a\n"


@pytest_asyncio.fixture
async def known(service: Caller) -> Bucket:
    """A bucket that the service key was let into already."""
    bucket = await make_bucket(service)
    assert (await bucket.upload(service, "first")).status_code == 200
    return bucket


@pytest_asyncio.fixture
async def fresh(settings: Settings) -> AsyncIterator[Application]:
    """Another process on the same database, which knows nobody and has kept no ids."""
    async with running(create_app(settings)) as app:
        yield app


@pytest_asyncio.fixture
async def operator(fresh: Application, service: Caller) -> AsyncIterator[Caller]:
    async with make_client(fresh) as client:
        yield Caller(client, "service", "", service.tokens)


@pytest_asyncio.fixture(params=["unheard", "heard"])
async def either(
    request: pytest.FixtureRequest, operator: Caller, admin: Caller
) -> AsyncIterator[Caller]:
    """The operator, while a webhook wants to hear of files and while none does.

    It takes several statements to tell one.
    """
    if request.param == "unheard":
        yield operator
        return
    body = {"name": unique("hook"), "url": "https://hooks.example.com/in", "events": ["object.*"]}
    made = await admin.post(WEBHOOKS, json=body)
    assert made.status_code == 201, made.text
    yield operator
    await admin.delete(f"{WEBHOOKS}/{made.json()['id']}")


async def limit(caller: Caller, bucket: Bucket, size: int | None, *types: str) -> None:
    limits = {"file_size_limit": size, "allowed_mime_types": types or None, "public": False}
    answer = await caller.put(f"{STORAGE}/bucket/{bucket.name}", json=limits)
    assert answer.status_code == 200, answer.text


async def count_notes(app: Application) -> int:
    """Of bytes that are about to come."""
    async with app.parts.database.unit_of_work() as session:
        return int(await session.scalar(text("SELECT count(*) FROM storage.blobs")) or 0)


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


async def test_what_replaces_a_file_keeps_its_id(either: Caller):
    bucket = await make_bucket(either)
    first = (await bucket.upload(either, "a", b"one")).json()["Id"]
    again = await bucket.upload(either, "a", b"two", x_upsert="true")
    assert (again.status_code, again.json()["Id"]) == (200, first)
    assert (await either.get(bucket.path("a"))).content == b"two"
    assert len(await entries(either, first)) == 2


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


async def test_a_row_that_escaped_postgres_is_replaced_all_the_same(
    known: Bucket, service: Caller, engines: EngineAddresses, database: str
):
    """One of thousands that replace each other finds its id taken; here the first does."""
    assert (await known.upload(service, "first", x_upsert="true")).status_code == 200
    name = known.name.replace("-", "_")
    make = f"""
        CREATE SEQUENCE {name};
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF nextval('public.{name}') = 1 THEN RAISE unique_violation; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER {name} BEFORE UPDATE ON storage.objects FOR EACH ROW
            WHEN (NEW.bucket_id = '{known.name}') EXECUTE FUNCTION {name}()"""
    await asyncio.to_thread(engines.execute, make, database=database)
    try:
        answer = await known.upload(service, "first", b"new", x_upsert="true")
    finally:
        drop = f"DROP FUNCTION {name} CASCADE; DROP SEQUENCE {name}"
        await asyncio.to_thread(engines.execute, drop, database=database)
    assert answer.status_code == 200, answer.text
    assert (await service.get(known.path("first"))).content == b"new"


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


async def test_limits_that_were_tightened_hold_at_once(either: Caller):
    bucket = await make_bucket(either)

    async def upload(name: str, content: bytes, content_type: str = "text/plain") -> int:
        assert (await bucket.upload(either, unique("let-in"))).status_code == 200
        return (await bucket.upload(either, name, content, content_type=content_type)).status_code

    assert await upload("any", b"x" * 11) == 200
    await limit(either, bucket, 10)
    assert (await bucket.upload(either, "long", b"x" * 11)).status_code == 413
    assert await upload("image", IMAGE, "image/png") == 200
    await limit(either, bucket, 10, "text/*")
    refused = await bucket.upload(either, "other", IMAGE, content_type="image/png")
    assert refused.status_code == 415
    assert await upload("short", b"x" * 10) == 200


async def test_limits_that_were_loosened_hold_at_once(either: Caller):
    bucket = await make_bucket(either, file_size_limit=10, allowed_mime_types=["text/*"])
    assert (await bucket.upload(either, "short", b"x" * 10)).status_code == 200
    await limit(either, bucket, 11, "text/*")
    assert (await bucket.upload(either, "long", b"x" * 11)).status_code == 200
    await limit(either, bucket, 11)
    image = await bucket.upload(either, "image", IMAGE, content_type="image/png")
    assert image.status_code == 200
    assert (await either.get(bucket.path("image"))).content == IMAGE


async def test_a_file_that_is_locked_keeps_nobody_waiting(
    fresh: Application, operator: Caller, known: Bucket
):
    assert (await known.upload(operator, "locked")).status_code == 200
    lock = text(
        "SELECT id FROM storage.objects WHERE bucket_id = :b AND name = 'locked' FOR UPDATE"
    )
    async with fresh.parts.database.unit_of_work() as session:
        await session.execute(lock, {"b": known.name})
        uploads = [known.upload(operator, "locked", b"new", x_upsert="true") for _ in range(2)]
        late = [asyncio.create_task(upload) for upload in uploads]
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(known.upload(operator, f"f{n}") for n in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert not any(task.done() for task in late)
    assert {answer.status_code for answer in await asyncio.gather(*late)} == {200}
    assert (await operator.get(known.path("locked"))).content == b"new"


async def test_no_id_is_kept_waiting_for_a_slow_client(fresh: Application, operator: Caller):
    bucket = await make_bucket(operator)
    assert (await bucket.upload(operator, "first")).status_code == 200
    seen = [await count_notes(fresh)]

    async def trickle() -> AsyncIterator[bytes]:
        yield b"hel"
        seen.append(await count_notes(fresh))
        yield b"lo"

    headers = {"Content-Length": "5", "Content-Type": "text/plain"}
    answer = await operator.post(bucket.path("slow"), content=trickle(), headers=headers)
    assert (answer.status_code, seen[1] - seen[0]) == (200, 0)
    assert (await operator.get(bucket.path("slow"))).content == b"hello"


async def test_a_bucket_that_is_gone_takes_nothing(known: Bucket, service: Caller):
    assert (await service.post(f"{STORAGE}/bucket/{known.name}/empty")).status_code == 200
    assert (await service.delete(f"{STORAGE}/bucket/{known.name}")).status_code == 200
    assert (await known.upload(service, "late")).status_code == 404
