"""What breaks on the way leaves nothing visible, and nothing behind."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.types import Message

from tests.fixtures.actors import Caller
from tests.fixtures.app import make_client, make_settings, running
from tests.fixtures.away import away
from tests.fixtures.buckets import Bucket, make_bucket
from tests.fixtures.engines import EngineAddresses
from tests.fixtures.live import eventually
from tests.fixtures.storage import Store, chunks, open_store
from tests.storage.test_resumable import CHUNK, TUS, send, started
from undercroft.app import Application, create_app
from undercroft.identity.bootstrap import role_keys
from undercroft.storage.uploads import service


@pytest.fixture(scope="module")
def own_settings(
    engines: EngineAddresses, storage_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    settings = make_settings(engines, storage_database)
    directory = tmp_path_factory.mktemp("files")
    own = {
        "directory": directory,
        "max_upload_pieces": 3,
        "resumable_patience": timedelta(seconds=0.2),
    }
    storage = settings.storage.model_copy(update=own)
    return settings.model_copy(update={"storage": storage})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(own_settings: Any) -> AsyncIterator[Application]:
    async with running(create_app(own_settings)) as app:
        yield app


@pytest_asyncio.fixture
async def operator(served: Application) -> AsyncIterator[Caller]:
    async with served.parts.database.unit_of_work() as session:
        keys = await role_keys(session, served.parts.keyring)
    async with make_client(served) as client:
        yield Caller(client, "service", "", {"access_token": keys["service_role"]})


@pytest_asyncio.fixture
async def behind(own_settings: Any) -> AsyncIterator[Store]:
    """The same files from behind."""
    store = open_store(own_settings)
    yield store
    await store.files.close()
    await store.database.dispose()


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond a megabyte: to a writer this is a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def cut(app: Application, caller: Caller, path: str, content: bytes, at: int) -> None:
    """Send the first `at` bytes of an upload and leave."""
    length = {"Content-Length": str(len(content))}
    await begin_to_send(app, caller, "POST", path, content[:at], leave=True, headers=length)


async def begin_to_send(
    app: Application,
    caller: Caller,
    method: str,
    path: str,
    content: bytes,
    *,
    leave: bool,
    headers: dict[str, str],
) -> Message:
    """Send what is a part only, then leave or be silent; returns how the answer began."""
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": True}]
    answers: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        if not leave:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send_to(message: Message) -> None:
        answers.append(message)

    given = headers | {"Authorization": f"Bearer {caller.tokens['access_token']}"}
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send_to)
    return answers[0] if answers else {}


async def settled(behind: Store, keys: int) -> bool:
    """Whether the backend comes to hold so many keys: leftovers are removed in threads."""

    async def holds() -> bool:
        return len(await behind.keys()) == keys

    return bool(await eventually(holds))


async def test_an_upload_cut_anywhere(served: Application, operator: Caller, behind: Store):
    bucket = await make_bucket(operator)
    content = bytes(range(256)) * 12_000
    kept = len(await behind.keys())
    for at in (0, 1, 4095, 4096, 1_000_000, len(content) - 1):
        await cut(served, operator, bucket.path("a"), content, at)
    assert await bucket.names(operator) == []
    assert await settled(behind, kept)
    assert (await behind.fsck()).clean
    assert (await operator.post(bucket.path("a"), content=content)).status_code == 200
    assert (await operator.get(bucket.path("a"))).content == content


async def test_small_files_that_are_refused_leave_nothing(
    served: Application, operator: Caller, behind: Store
):
    bucket = await make_bucket(operator)
    assert (await bucket.upload(operator, "a")).status_code == 200
    kept = len(await behind.keys())
    for _ in range(2):  # believed at first, then not
        assert (await bucket.upload(operator, "a")).status_code == 409
    for at in (0, 1, 9):
        assert (await bucket.upload(operator, "a", x_upsert="true")).status_code == 200
        await cut(served, operator, bucket.path("b"), b"0123456789", at)
    assert await bucket.names(operator) == ["a"]
    await behind.sweep()
    assert await settled(behind, kept)
    assert (await behind.fsck()).clean


async def test_an_upload_in_crumbs_comes_to_an_end(operator: Caller, behind: Store):
    bucket = await make_bucket(operator)
    url = await started(operator, bucket, "crumbs", 10)
    answers = [await send(operator, url, offset, b"x") for offset in range(4)]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 413]
    kept = len(await behind.keys())
    assert (await operator.delete(url, headers=TUS)).status_code == 204
    assert await settled(behind, kept - 3)


async def test_a_client_that_falls_silent_keeps_nobody_out(served: Application, operator: Caller):
    bucket = await make_bucket(operator)
    url = await started(operator, bucket, "a", 100)
    headers = CHUNK | {"Upload-Offset": "0"}
    ended = await begin_to_send(
        served, operator, "PATCH", url, b"x" * 30, leave=False, headers=headers
    )
    told = dict(ended["headers"])
    assert (ended["status"], told[b"upload-offset"], told[b"connection"]) == (204, b"30", b"close")
    assert (await send(operator, url, 30, b"y" * 70)).status_code == 204


async def test_a_last_piece_that_is_refused_leaves_nothing(operator: Caller, behind: Store):
    bucket = await make_bucket(operator)
    url = await started(operator, bucket, "a", 5)
    await bucket.upload(operator, "a", b"first")
    kept = len(await behind.keys())
    assert (await send(operator, url, 0, b"later")).status_code == 409
    assert len(await behind.keys()) == kept
    assert (await operator.delete(bucket.path("a"))).status_code == 200
    assert (await send(operator, url, 0, b"later")).status_code == 204
    assert (await operator.get(bucket.path("a"))).content == b"later"
    assert (await behind.fsck()).clean


async def test_a_piece_that_was_never_noted_goes_with_the_last(operator: Caller, behind: Store):
    bucket = await make_bucket(operator)
    url = await started(operator, bucket, "a", 10)
    before = set(await behind.keys())
    assert (await send(operator, url, 0, b"first")).status_code == 204
    (noted,) = set(await behind.keys()) - before
    lost = f"{noted.rpartition('/')[0]}/lost"
    await behind.files.blobs.backend.write(lost, chunks(b"died"))
    assert (await send(operator, url, 5, b"other")).status_code == 204
    assert (await operator.get(bucket.path("a"))).content == b"firstother"
    assert len(await behind.keys()) == len(before) + 2
    assert (await behind.fsck()).clean


async def test_a_full_disk_is_said_and_changes_nothing(
    operator: Caller, behind: Store, small_disk: None
):
    bucket = await make_bucket(operator)
    assert (await bucket.upload(operator, "a", b"small")).status_code == 200
    kept = len(await behind.keys())
    for headers in ({}, {"x-upsert": "true"}):
        answer = await operator.post(bucket.path("a"), content=b"x" * 3_000_000, headers=headers)
        if headers:
            assert (answer.status_code, answer.json()["error"]) == (507, "Insufficient storage")
    assert (await operator.get(bucket.path("a"))).content == b"small"
    assert await settled(behind, kept)


async def test_bytes_that_are_gone_are_no_traceback(operator: Caller, behind: Store):
    bucket = await make_bucket(operator)
    await bucket.upload(operator, "a")
    found = await behind.files.lookup.find(None, bucket.name, "a")
    assert found is None
    info = (await operator.get(bucket.path("a", "object/info"))).json()
    key = next(key for key in await behind.keys() if key.endswith(info["version"].replace("-", "")))
    await behind.files.blobs.backend.delete([key])
    answer: httpx.Response = await operator.get(bucket.path("a"))
    assert answer.status_code == 503
    assert answer.json()["statusCode"] == "503"
    assert [m.name for m in (await behind.fsck()).missing] == ["a"]
    assert Bucket(bucket.name) == bucket
    assert (await operator.delete(bucket.path("a"))).status_code == 200


async def test_an_upload_outlives_a_database_that_was_away_meanwhile(
    operator: Caller,
    engines: EngineAddresses,
    storage_database: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(service, "RENEW_SECONDS", 0.02)
    bucket = await make_bucket(operator)
    url = await started(operator, bucket, "a.txt", 10)

    async def content() -> AsyncIterator[bytes]:
        yield b"first"
        async with away(engines, storage_database):
            await asyncio.sleep(0.1)
        yield b"later"

    answer = await operator.patch(url, content=content(), headers=CHUNK | {"Upload-Offset": "0"})
    assert (answer.status_code, answer.headers.get("upload-offset")) == (204, "10"), answer.text
    assert (await operator.get(bucket.path("a.txt"))).content == b"firstlater"
