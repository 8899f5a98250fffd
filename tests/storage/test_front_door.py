"""Files that other wings keep: staged, linked in a transaction, swept when nothing came of it."""

import os

import pytest
from sqlalchemy import text

from tests.fixtures.storage import Store, chunks, collected
from undercroft.foundation.ids import new_id
from undercroft.storage import SystemBucket
from undercroft.storage.errors import FileNotFound, FileTooLarge, FileTypeRefused, QuotaExceeded
from undercroft.storage.fsck import BackendLooksWrong

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
PICTURES = SystemBucket("_pictures", max_bytes=1000, types=("image/*",))
ANYTHING = SystemBucket("_anything")


class TestPut:
    async def test_a_file_is_there_with_its_type_after_the_commit(self, store: Store):
        async with store.database.unit_of_work() as session:
            staged = await store.files.put(
                session, chunks(PNG, b"rest"), bucket=PICTURES, name="ada/face.png"
            )
            assert await store.files.find(bucket=PICTURES, name="ada/face.png") is None
        assert staged.content_type == "image/png"
        found, content = await store.files.open(bucket=PICTURES, name="ada/face.png")
        assert await collected(content) == PNG + b"rest"
        assert (found.size_bytes, found.content_type) == (len(PNG) + 4, "image/png")

    async def test_a_rollback_leaves_nothing_visible_and_nothing_after_the_sweep(
        self, store: Store
    ):
        async with store.database.unit_of_work() as session:
            await store.files.put(session, chunks(PNG), bucket=PICTURES, name="a.png")
            await session.rollback()
        assert await store.files.find(bucket=PICTURES, name="a.png") is None
        assert len(await store.keys()) == 1
        assert await store.sweep() == 0
        assert await store.sweep(after=store.settings.storage.staging_lifetime) == 1
        assert await store.keys() == []

    async def test_replaced_bytes_are_read_to_their_end_and_then_swept(self, store: Store):
        for content in (b"first version", b"second"):
            async with store.database.unit_of_work() as session:
                await store.files.put(session, chunks(content), bucket=ANYTHING, name="a")
            if content == b"first version":
                _, reading = await store.files.open(bucket=ANYTHING, name="a")
        assert await collected(reading) == b"first version"
        _, again = await store.files.open(bucket=ANYTHING, name="a")
        assert await collected(again) == b"second"
        assert await store.sweep() == 1
        assert len(await store.keys()) == 1

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"<html><script>alert(1)</script>", FileTypeRefused),
            (b"just text", FileTypeRefused),
            (PNG + b"x" * 1000, FileTooLarge),
        ],
    )
    async def test_what_a_bucket_does_not_take_leaves_nothing(
        self, store: Store, content: bytes, problem: type[Exception]
    ):
        with pytest.raises(problem):
            await store.files.stage(chunks(content), bucket=PICTURES, declared_type="image/png")
        assert await store.keys() == []
        async with store.database.unit_of_work() as session:
            assert await session.scalar(text("SELECT count(*) FROM storage.blobs")) == 0

    async def test_a_stream_that_breaks_leaves_nothing(self, store: Store):
        async def broken():
            yield b"x" * 3_000_000
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await store.files.stage(broken(), bucket=ANYTHING)
        assert await store.keys() == []

    async def test_bytes_count_towards_an_organizations_quota(self, store: Store):
        organization = new_id()
        async with store.database.unit_of_work() as session:
            await session.execute(
                text("INSERT INTO auth.organizations (id, name, slug) VALUES (:id, 'Org', 'org');"),
                {"id": organization},
            )
            await session.execute(
                text("INSERT INTO storage.usage VALUES (:id, 0, 0, 10)"), {"id": organization}
            )

        async def keep(name: str, content: bytes) -> None:
            async with store.database.unit_of_work() as session:
                await store.files.put(
                    session,
                    chunks(content),
                    bucket=ANYTHING,
                    name=name,
                    organization_id=organization,
                )

        async def used() -> list[tuple[int, int]]:
            async with store.database.unit_of_work() as session:
                rows = await session.execute(text("SELECT used_bytes, files FROM storage.usage"))
                return [tuple(row) for row in rows]

        await keep("a", b"123456")
        with pytest.raises(QuotaExceeded):
            await keep("b", b"12345")
        await keep("b", b"1234")
        await keep("b", b"12")
        assert await used() == [(8, 2)]
        async with store.database.unit_of_work() as session:
            assert await store.files.delete(session, bucket=ANYTHING, names=["a", "b", "c"]) == 2
        assert await used() == [(0, 0)]


class TestDelete:
    async def test_the_bytes_go_with_the_row_and_after_the_grace(self, store: Store):
        async with store.database.unit_of_work() as session:
            await store.files.put(session, chunks(b"x"), bucket=ANYTHING, name="a")
        async with store.database.unit_of_work() as session:
            assert await store.files.delete(session, bucket=ANYTHING, names=["a"]) == 1
        with pytest.raises(FileNotFound):
            await store.files.open(bucket=ANYTHING, name="a")
        assert len(await store.keys()) == 1
        assert await store.sweep() == 1
        assert await store.keys() == []

    async def test_a_bucket_deleted_by_sql_takes_its_bytes_along(self, store: Store):
        async with store.database.unit_of_work() as session:
            for name in "abc":
                await store.files.put(session, chunks(b"x"), bucket=ANYTHING, name=name)
        async with store.database.unit_of_work() as session:
            await session.execute(text("DELETE FROM storage.buckets"))
        assert await store.sweep() == 3
        assert await store.keys() == []


class TestFsck:
    async def test_all_is_well(self, store: Store):
        async with store.database.unit_of_work() as session:
            await store.files.put(session, chunks(b"abc"), bucket=ANYTHING, name="a")
        report = await store.fsck()
        assert report.clean
        assert (report.files, report.bytes) == (1, 3)

    async def test_orphans_both_ways_are_listed_and_repaired(self, store: Store):
        for name in "abc":
            async with store.database.unit_of_work() as session:
                await store.files.put(session, chunks(b"abc"), bucket=ANYTHING, name=name)
        found = await store.files.find(bucket=ANYTHING, name="a")
        assert found
        await store.files.blobs.remove(found.blob_id, None)
        shortened = await store.files.find(bucket=ANYTHING, name="b")
        assert shortened
        root = store.settings.storage.directory
        assert root
        path = next(root.rglob(shortened.blob_id.hex))
        path.write_bytes(b"a")
        stray = root / "blobs" / "ff" / new_id().hex
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"stray")
        assert (await store.fsck()).orphans == []  # it may belong to an upload under way
        long_ago = 1_600_000_000
        os.utime(stray, (long_ago, long_ago))
        report = await store.fsck()
        assert [(m.bucket, m.name) for m in report.missing] == [
            ("_anything", "a"),
            ("_anything", "b"),
        ]
        assert report.orphans == [str(stray.relative_to(root))]
        assert not report.clean
        assert (await store.fsck(repair=True)).repaired
        report = await store.fsck()
        assert (report.clean, report.files) == (True, 1)
        assert not stray.exists()
        await store.sweep()
        assert len(await store.keys()) == 1

    async def test_an_empty_store_is_not_repaired_by_removing_every_file(self, store: Store):
        for name in "ab":
            async with store.database.unit_of_work() as session:
                await store.files.put(session, chunks(b"abc"), bucket=ANYTHING, name=name)
        await store.files.blobs.backend.delete(await store.keys())
        with pytest.raises(BackendLooksWrong):
            await store.fsck(repair=True)
        assert await store.files.find(bucket=ANYTHING, name="a")
