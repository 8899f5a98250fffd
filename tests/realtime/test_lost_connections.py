"""A database that goes away for a moment: nobody misses a change, and nobody stays who may not."""

import asyncio
from typing import Any

import asyncpg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fixtures.actors import register, unique
from tests.fixtures.away import away
from tests.fixtures.live import Line, eventually
from tests.realtime.tables_support import changes, insert
from undercroft.realtime.changes.reader import ChangeReader
from undercroft.realtime.sockets.stored import StoredMessages

WAITING = "SELECT pid FROM pg_locks WHERE NOT granted AND {lock} LIMIT 1"
# The same changes with one more, as a reader logs them that began where another had not ended.
ANOTHER_READERS = """
    INSERT INTO realtime.change_log (epoch, lsn, ordinal, committed_at, size_bytes, previous_lsn,
                                     previous_ordinal, batch)
    SELECT epoch, lsn + 1, ordinal, committed_at, size_bytes, previous_lsn, previous_ordinal, batch
      FROM realtime.change_log ORDER BY epoch DESC, lsn DESC, ordinal DESC LIMIT 1
"""
LISTENERS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'undercroft listener'"
)
SLOW = """
    CREATE FUNCTION {name}(status text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
        BEGIN
            IF status = 'slow' THEN PERFORM pg_advisory_xact_lock_shared({number}); END IF;
            RETURN true;
        END $$;
    CREATE POLICY slow ON {table} AS RESTRICTIVE FOR SELECT TO authenticated
        USING ({name}(status));
"""


BOSSES = """
    CREATE POLICY boss ON {table} FOR SELECT TO authenticated
        USING ((SELECT auth.jwt()) -> 'app_metadata' ->> 'boss' = 'yes')
"""


class Tripping(ChangeReader):
    """Its first term ends as no term has yet."""

    terms = 0

    async def _term(self) -> None:
        self.terms += 1
        if self.terms == 1:
            raise asyncpg.InternalClientError("another operation (2) is in progress")
        await super()._term()


async def terminate_waiting(connection: Any, lock: str) -> None:
    """End the session that waits for a lock, once there is one."""
    found = await eventually(lambda: connection.fetchval(WAITING.format(lock=lock)))
    assert await connection.fetchval("SELECT pg_terminate_backend($1)", found)


async def appoint(connection: Any, user_id: str, boss: str) -> None:
    await connection.execute(
        "UPDATE auth.users SET app_metadata = jsonb_build_object('boss', $2::text)"
        " WHERE id::text = $1",
        user_id,
        boss,
    )
    await connection.execute(f"NOTIFY undercroft_auth, 'user:{user_id}'")


async def end_session(connection: Any, user_id: str) -> None:
    """As another node does whose announcement is not heard here."""
    await connection.execute(
        "UPDATE auth.sessions SET ended_at = now() WHERE user_id::text = $1", user_id
    )


async def close_code(line: Line) -> int | None:
    try:
        while True:
            await line.connection.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


async def test_the_reader_goes_on_whatever_ended_its_term(app):
    reader, stop = Tripping(app.parts.database, app.parts.cache), asyncio.Event()
    reading = asyncio.create_task(reader.run(stop))

    async def reads_again() -> bool:
        return reader.terms > 1

    await eventually(reads_again)
    stop.set()
    await reading


async def test_of_two_readers_one_is_refused(line, notes, owner, member, token):
    socket = await line()
    await socket.follow("notes", changes(notes), token=token)
    await insert(owner, notes, 1, member.id)
    await socket.change()
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(ANOTHER_READERS)


async def test_what_follows_a_gap_is_not_sent(line, notes, owner, superuser, member, token):
    name, number = unique("slow"), hash(notes) % 2**31
    await owner.execute(SLOW.format(name=name, number=number, table=notes))
    first, other = await line(), await line()
    await first.follow("first", changes(notes), token=token)
    await insert(owner, notes, 1, member.id)
    cursor = (await first.change())["cursor"]
    await insert(owner, notes, 2, member.id, status="slow")
    assert (await first.change())["record"]["id"] == 2
    await other.follow("other", changes(notes), token=token)

    await superuser.execute("SELECT pg_advisory_lock($1)", number)
    resuming = changes(notes, since=cursor)
    again = await line()
    await again.join("again", token=token, postgres_changes=[resuming])
    waits = f"objid = {number}"
    await eventually(lambda: superuser.fetchval(WAITING.format(lock=waits)))
    await insert(owner, notes, 3, member.id)
    assert (await other.change())["record"]["id"] == 3
    await terminate_waiting(superuser, waits)
    told = (await again.hear("system"))["payload"]
    assert (told["status"], told["extension"]) == ("error", "postgres_changes")
    await insert(owner, notes, 4, member.id)
    assert (await other.change())["record"]["id"] == 4
    assert await again.silent("postgres_changes")

    await superuser.execute("SELECT pg_advisory_unlock($1)", number)
    await again.join("again", token=token, postgres_changes=[resuming])
    assert [(await again.change())["record"]["id"] for _ in range(3)] == [2, 3, 4]


async def test_a_session_ends_although_nothing_was_heard_of_it(line, notes, superuser, client):
    person = await register(client, "leaver")
    socket = await line()
    await socket.follow("notes", changes(notes), token=person.tokens["access_token"])
    await end_session(superuser, person.id)
    assert await superuser.fetchval(LISTENERS)
    assert await close_code(socket) == 4001


async def test_a_session_ends_although_it_could_not_be_looked_up_at_first(
    line, notes, owner, superuser, client
):
    person = await register(client, "leaver")
    socket = await line()
    await socket.follow("notes", changes(notes), token=person.tokens["access_token"])
    async with superuser.transaction():
        await superuser.execute("LOCK TABLE auth.sessions IN ACCESS EXCLUSIVE MODE")
        await end_session(superuser, person.id)
        await owner.execute(f"NOTIFY undercroft_auth, 'user:{person.id}'")
        await terminate_waiting(superuser, "relation = 'auth.sessions'::regclass")
    assert await close_code(socket) == 4001


async def test_a_socket_is_refused_until_its_key_can_be_looked_up(line, engines, database):
    async with away(engines, database):
        with pytest.raises(InvalidStatus) as refused:
            await line("uck_" + 40 * "x")
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["retry-after"]
    with pytest.raises(InvalidStatus) as refused:
        await line("uck_" + 40 * "x")
    assert refused.value.response.status_code == 401


async def test_who_loses_rights_while_joining_follows_without_them(
    line, notes, owner, superuser, client, member, token
):
    name, number = unique("slow"), hash(notes) % 2**31
    await owner.execute(SLOW.format(name=name, number=number, table=notes))
    await owner.execute(BOSSES.format(table=notes))
    boss = await register(client, "boss")
    await appoint(superuser, boss.id, "yes")
    first, theirs = await line(), await line()
    await first.follow("first", changes(notes), token=token)
    await superuser.execute("SELECT pg_advisory_lock($1)", number)
    await insert(owner, notes, 1, member.id, status="slow")
    waits = f"objid = {number}"
    await eventually(lambda: superuser.fetchval(WAITING.format(lock=waits)))
    # Whoever joins now waits until that change is delivered.
    joined = await theirs.join(
        "theirs", token=boss.tokens["access_token"], postgres_changes=[changes(notes)]
    )
    assert joined["status"] == "ok"
    await appoint(superuser, boss.id, "no")
    bystander = await line()
    await bystander.join("x", token=boss.tokens["access_token"])  # what was announced is heard
    await superuser.execute("SELECT pg_advisory_unlock($1)", number)
    assert (await theirs.hear("system"))["payload"]["status"] == "ok"
    await insert(owner, notes, 2, member.id)
    assert [(await first.change())["record"]["id"] for _ in range(2)] == [1, 2]
    assert await theirs.silent("postgres_changes")


async def test_stored_messages_come_whatever_ended_the_first_reading(line, superuser, monkeypatch):
    find = StoredMessages._find
    failures = [asyncpg.InternalClientError("another operation (2) is in progress")]

    async def failing_once(messages, ids):
        if failures:
            raise failures.pop()
        return await find(messages, ids)

    monkeypatch.setattr(StoredMessages, "_find", failing_once)
    topic = unique("topic")
    socket = await line()
    await socket.join(topic)
    await superuser.execute("SELECT realtime.send('{}'::jsonb, 'hi', $1, false)", topic)
    assert (await socket.hear("broadcast"))["payload"]["event"] == "hi"
