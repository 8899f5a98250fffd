"""The feed of table changes, as consumers inside the platform take it."""

from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.fixtures.actors import unique
from tests.fixtures.live import eventually
from undercroft.app import Application
from undercroft.realtime.changes import (
    Change,
    ChangeType,
    register_consumer,
    take_changes,
    watch_table,
)
from undercroft.realtime.changes.change import as_json

pytestmark = pytest.mark.usefixtures("reader")
Connection = asyncpg.Connection


class Feed:
    """A consumer that takes what there is."""

    def __init__(self, app: Application, table: str) -> None:
        self._unit_of_work = app.parts.database.unit_of_work
        self.name = unique("consumer")
        self.table = table
        self.missed = False

    async def begin(self) -> None:
        async with self._unit_of_work() as session:
            assert await watch_table(session, "public", self.table)
        async with self._unit_of_work() as session:
            await register_consumer(session, self.name)

    async def take(self) -> list[Change]:
        async with self._unit_of_work() as session:
            taken = await take_changes(session, self.name)
        self.missed = self.missed or taken.missed
        return [change for change in taken.changes if change.table == self.table]

    async def next(self, count: int) -> list[Change]:
        found: list[Change] = []

        async def enough() -> bool:
            found.extend(await self.take())
            return len(found) >= count

        await eventually(enough)
        return found


TABLE = """
    CREATE TABLE {name} (
        id bigint PRIMARY KEY, title text, price numeric, ratio float8, tags text[], extra jsonb,
        at timestamptz, day date, ok boolean, size {name}_size, big text)
"""


@pytest_asyncio.fixture
async def table(owner: "Connection[Any]") -> str:
    name = unique("wares")
    await owner.execute(f"CREATE TYPE {name}_size AS ENUM ('small', 'large')")
    await owner.execute(TABLE.format(name=name))
    return name


@pytest_asyncio.fixture
async def feed(app: Application, table: str, owner: "Connection[Any]") -> Feed:
    feed = Feed(app, table)
    await feed.begin()

    async def reading() -> bool:
        # A slot that is being made is active, too, and has no place in Postgres' log before all
        # transactions that were open meanwhile have ended.
        return bool(
            await owner.fetchval(
                "SELECT EXISTS (SELECT FROM pg_replication_slots"
                " WHERE database = current_database() AND active"
                " AND confirmed_flush_lsn IS NOT NULL)"
            )
        )

    await eventually(reading)
    return feed


async def test_rows_arrive_as_a_query_shows_them(feed: Feed, owner: "Connection[Any]", table: str):
    await owner.execute(
        f"""INSERT INTO {table} VALUES
            (1, 'Ünïcode "x" \\', 12345678901234567890.1200, 'NaN', '{{a,"b c",NULL}}',
             '{{"a": [1, 2.50]}}', '2026-01-02 03:04:05.6+02', '2026-02-03', true, 'large', NULL),
            (2, NULL, 'NaN', 1e300, NULL, 'null', 'infinity', '0044-03-15 BC', false, 'small', '')
        """
    )
    changes = await feed.next(2)
    shown = await owner.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table} t ORDER BY id")
    equal = await owner.fetchval(
        "SELECT bool_and(a::jsonb = b::jsonb) FROM unnest($1::text[], $2::text[]) AS t (a, b)",
        [row["row"] for row in shown],
        [change_json(change) for change in changes],
    )
    assert equal, [change_json(change) for change in changes]
    assert [change.type for change in changes] == [ChangeType.INSERT] * 2
    assert changes[0].cursor < changes[1].cursor


def change_json(change: Change) -> str:
    assert change.new
    return as_json(change.shape, change.new).decode()


async def test_updates_and_deletes_bring_the_whole_old_row(
    feed: Feed, owner: "Connection[Any]", table: str
):
    big = "x" * 20_000
    await owner.execute(
        f"INSERT INTO {table} (id, title, big) SELECT 1, 'a', string_agg(md5(n::text), '')"
        " FROM generate_series(1, 2000) n"
    )
    await owner.execute(f"UPDATE {table} SET title = 'b'")
    await owner.execute(f"DELETE FROM {table}")
    await owner.execute(f"TRUNCATE {table}")
    inserted, updated, deleted, truncated = await feed.next(4)
    assert inserted.record
    assert updated.record
    assert updated.old_record
    assert deleted.old_record
    assert len(inserted.record["big"]) > len(big)
    assert updated.record == inserted.record | {"title": "b"}
    assert updated.old_record == inserted.record
    assert deleted.old_record == updated.record
    assert (truncated.type, truncated.record, truncated.old_record) == ("TRUNCATE", None, None)


async def test_what_is_rolled_back_never_arrives(feed: Feed, owner: "Connection[Any]", table: str):
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(f"INSERT INTO {table} (id) VALUES (1)")
    await transaction.rollback()
    await owner.execute(f"INSERT INTO {table} (id) VALUES (2)")
    (change,) = await feed.next(1)
    assert change.record
    assert change.record["id"] == 2


async def test_a_large_transaction_comes_whole_and_in_order(
    feed: Feed, owner: "Connection[Any]", table: str
):
    await owner.execute(f"INSERT INTO {table} (id) SELECT generate_series(1, 5000)")
    changes = await feed.next(5000)
    assert [change.record["id"] for change in changes if change.record] == list(range(1, 5001))
    cursors = [change.cursor for change in changes]
    assert cursors == sorted(set(cursors))
    assert not feed.missed


async def test_the_place_moves_only_with_the_commit(
    feed: Feed, owner: "Connection[Any]", table: str, app: Application
):
    await owner.execute(f"INSERT INTO {table} (id) VALUES (1)")

    seen: list[Change] = []

    async def take_and_fail() -> None:
        async with app.parts.database.unit_of_work() as session:
            taken = await take_changes(session, feed.name)
            seen.extend(taken.changes)
            raise ZeroDivisionError

    async def fails() -> bool:
        with pytest.raises(ZeroDivisionError):
            await take_and_fail()
        return bool(seen)

    await eventually(fails)
    (change,) = await feed.next(1)
    assert change.cursor == seen[-1].cursor
    assert await feed.take() == []


async def test_changes_of_the_table_itself_do_not_break_the_feed(
    feed: Feed, owner: "Connection[Any]", table: str
):
    await owner.execute(f"INSERT INTO {table} (id, title) VALUES (1, 'before')")
    await owner.execute(f"ALTER TABLE {table} DROP COLUMN tags, ADD COLUMN added int DEFAULT 7")
    await owner.execute(f"INSERT INTO {table} (id) VALUES (2)")
    await owner.execute(f"ALTER TABLE {table} RENAME TO {table}_later")
    await owner.execute(f"INSERT INTO {table}_later (id) VALUES (3)")
    await owner.execute(f"ALTER TABLE {table}_later RENAME TO {table}")
    first, second = await feed.next(2)
    assert first.record
    assert second.record
    assert "added" not in first.record
    assert second.record["added"] == 7
    assert "tags" not in second.record
