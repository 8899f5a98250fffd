"""Table changes by socket: who hears of which row, in which shape, and who never does."""

import asyncio
import random
import string

import pytest

from tests.fixtures.actors import register, unique
from tests.fixtures.live import eventually
from tests.realtime.tables_support import changes, insert


class TestShape:
    async def test_is_what_the_clients_read(self, line, notes, owner, member, token):
        socket = await line()
        joined = await socket.join("notes", token=token, postgres_changes=[changes(notes)])
        (binding,) = joined["response"]["postgres_changes"]
        assert binding == {"id": binding["id"], **changes(notes)}
        system = (await socket.hear("system"))["payload"]
        cursor = system.pop("cursor")
        assert system == {
            "channel": "notes",
            "extension": "postgres_changes",
            "status": "ok",
            "message": "Subscribed to PostgreSQL",
        }
        await insert(owner, notes, 1, member.id, title="a", price=1.50)
        message = await socket.hear("postgres_changes")
        assert (message["topic"], message["ref"]) == ("realtime:notes", None)
        assert message["payload"]["ids"] == [binding["id"]]
        data = message["payload"]["data"]
        assert data.pop("commit_timestamp").endswith("Z")
        assert data.pop("cursor") > cursor
        assert data == {
            "schema": "public",
            "table": notes,
            "type": "INSERT",
            "errors": None,
            "columns": [
                {"name": "id", "type": "int8"},
                {"name": "owner", "type": "uuid"},
                {"name": "title", "type": "text"},
                {"name": "status", "type": "text"},
                {"name": "price", "type": "numeric"},
            ],
            "record": {
                "id": 1,
                "owner": member.id,
                "title": "a",
                "status": "open",
                "price": 1.5,
            },
        }

    async def test_of_updates_and_deletes_has_the_old_row(self, line, notes, owner, member, token):
        socket = await line()
        await socket.follow("notes", changes(notes), token=token)
        await insert(owner, notes, 1, member.id, title="a")
        before = (await socket.change())["record"]
        await owner.execute(f"UPDATE {notes} SET title = 'b'")
        updated = await socket.change()
        assert updated["type"] == "UPDATE"
        assert updated["record"] == before | {"title": "b"}
        assert updated["old_record"] == before
        await owner.execute(f"DELETE FROM {notes}")
        deleted = await socket.change()
        assert deleted["type"] == "DELETE"
        assert deleted["old_record"] == before | {"title": "b"}
        assert "record" not in deleted

    async def test_is_limited_to_chosen_columns(self, line, notes, owner, member, token):
        socket = await line()
        await socket.follow("notes", changes(notes, select=["title"]), token=token)
        await insert(owner, notes, 1, member.id, title="a")
        change = await socket.change()
        assert change["record"] == {"id": 1, "title": "a"}
        assert [column["name"] for column in change["columns"]] == ["id", "title"]

    async def test_names_every_binding_that_asked(self, line, notes, owner, member, token):
        socket = await line()
        asked = [
            changes(notes),
            changes(notes, event="INSERT"),
            changes(notes, event="DELETE"),
            changes("*"),
            changes(notes, filter="title=eq.nothing"),
        ]
        joined = await socket.join("notes", token=token, postgres_changes=asked)
        ids = [binding["id"] for binding in joined["response"]["postgres_changes"]]
        assert len(set(ids)) == 5
        await socket.hear("system")
        await insert(owner, notes, 1, member.id, title="a")
        message = await socket.hear("postgres_changes")
        assert message["payload"]["ids"] == [ids[0], ids[1], ids[3]]


class TestRowSecurity:
    async def test_others_hear_nothing_of_my_rows(
        self, line, notes, owner, member, token, outsider
    ):
        mine, theirs, nobodys = await line(), await line(), await line()
        await mine.follow("notes", changes(notes), token=token)
        await theirs.follow("notes", changes(notes), token=outsider.tokens["access_token"])
        await nobodys.join("notes", postgres_changes=[changes(notes)])
        refused = await nobodys.hear("system")
        assert refused["payload"]["status"] == "error"
        await insert(owner, notes, 1, member.id, title="a")
        await owner.execute(f"UPDATE {notes} SET title = 'b'")
        await owner.execute(f"DELETE FROM {notes}")
        assert [(await mine.change())["type"] for _ in range(3)] == ["INSERT", "UPDATE", "DELETE"]
        for other in (theirs, nobodys):
            assert await other.silent("postgres_changes")

    async def test_a_row_that_leaves_view_is_deleted_for_me(
        self, line, notes, owner, member, token, outsider
    ):
        mine, theirs = await line(), await line()
        await mine.follow("notes", changes(notes), token=token)
        await theirs.follow("notes", changes(notes), token=outsider.tokens["access_token"])
        await insert(owner, notes, 1, member.id, title="mine")
        await mine.change()
        await owner.execute(f"UPDATE {notes} SET owner = $1, title = 'theirs'", outsider.id)
        left, entered = await mine.change(), await theirs.change()
        assert (left["type"], left["old_record"]) == ("DELETE", {"id": 1})
        assert "record" not in left
        assert (entered["type"], entered["record"]["title"]) == ("UPDATE", "theirs")
        assert entered["old_record"] == {}
        await owner.execute(f"UPDATE {notes} SET status = 'hidden'")
        assert (await theirs.change())["type"] == "DELETE"
        await owner.execute(f"DELETE FROM {notes}")
        for one in (mine, theirs):
            assert await one.silent("postgres_changes")

    async def test_an_old_version_is_not_shown_to_those_who_see_only_the_new_one(
        self, line, notes, owner, member, outsider
    ):
        theirs = await line()
        await theirs.follow("notes", changes(notes), token=outsider.tokens["access_token"])
        async with owner.transaction():
            await insert(owner, notes, 1, member.id, title="before")
            await owner.execute(f"UPDATE {notes} SET owner = $1, title = 'after'", outsider.id)
        change = await theirs.change()
        assert (change["type"], change["record"]["title"]) == ("UPDATE", "after")
        assert await theirs.silent("postgres_changes")

    async def test_without_whole_old_rows_deletes_reach_only_those_no_rule_holds_back(
        self, line, notes, owner, member, token, api_keys
    ):
        await owner.execute(f"ALTER TABLE {notes} REPLICA IDENTITY DEFAULT")
        mine, service = await line(), await line(api_keys["service_role"])
        await mine.follow("notes", changes(notes), token=token)
        await service.follow("notes", changes(notes))
        await insert(owner, notes, 1, member.id, title="a")
        await owner.execute(f"DELETE FROM {notes}")
        await insert(owner, notes, 2, member.id, title="b")
        heard = [await service.change() for _ in range(3)]
        assert [(c["type"], c.get("old_record")) for c in heard] == [
            ("INSERT", None),
            ("DELETE", {"id": 1}),
            ("INSERT", None),
        ]
        assert heard[0]["record"]["secret"] == "s3cret"
        assert [(await mine.change())["record"]["id"] for _ in range(2)] == [1, 2]

    async def test_a_new_policy_counts_for_the_next_change(
        self, line, notes, owner, outsider, member
    ):
        theirs = await line()
        await theirs.follow("notes", changes(notes), token=outsider.tokens["access_token"])
        await insert(owner, notes, 1, member.id, title="closed")
        await owner.execute(
            f"CREATE POLICY open_to_all ON {notes} FOR SELECT TO authenticated USING (true)"
        )
        number = iter(range(2, 1000))

        async def heard() -> bool:
            await insert(owner, notes, next(number), member.id, title="open")
            await theirs.ask("phoenix", "heartbeat", {})
            return not await theirs.silent("postgres_changes")

        await eventually(heard)

    async def test_policies_that_look_elsewhere_are_asked_as_the_caller(
        self, line, owner, member, token, outsider
    ):
        name = unique("docs")
        await owner.execute(f"""
            CREATE TABLE {name}_members (doc bigint, who uuid);
            CREATE TABLE {name} (id bigint PRIMARY KEY, "Odd ""name" jsonb, tags text[]);
            ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {name}_members ENABLE ROW LEVEL SECURITY;
            CREATE POLICY mine ON {name}_members FOR SELECT USING (who = (SELECT auth.uid()));
            CREATE POLICY shared ON {name} FOR SELECT TO authenticated USING (
                EXISTS (SELECT FROM {name}_members m WHERE m.doc = {name}.id)
                AND "Odd ""name" ->> 'a' IS DISTINCT FROM 'no' AND 'x' = ANY (tags));
            CREATE POLICY never ON {name} AS RESTRICTIVE FOR SELECT USING (id <> 13);
            SELECT realtime.watch('{name}', 'supabase_realtime')""")
        mine, theirs = await line(), await line()
        await mine.follow("docs", changes(name), token=token)
        await theirs.follow("docs", changes(name), token=outsider.tokens["access_token"])
        await owner.execute(
            f"INSERT INTO {name}_members SELECT n, $1 FROM generate_series(1, 20) n", member.id
        )
        await owner.execute(
            f"INSERT INTO {name} VALUES (1, NULL, '{{x}}'), (13, NULL, '{{x}}'),"
            " (2, '{\"a\": \"no\"}', '{x}'), (3, '{\"a\": 1}', '{y}'), (4, '{\"a\": 1}', '{y,x}')"
        )
        heard = [(await mine.change())["record"] for _ in range(2)]
        assert heard == [
            {"id": 1, 'Odd "name': None, "tags": ["x"]},
            {"id": 4, 'Odd "name': {"a": 1}, "tags": ["y", "x"]},
        ]
        assert await mine.silent("postgres_changes")
        assert await theirs.silent("postgres_changes")

    async def test_a_policy_that_fails_for_one_caller_lets_the_others_hear(
        self, line, owner, token
    ):
        name = unique("fragile")
        await owner.execute(f"""
            CREATE TABLE {name} (id bigint PRIMARY KEY);
            ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
            CREATE POLICY fails ON {name} FOR SELECT USING (
                (auth.jwt() ->> 'sub')::uuid IS NOT NULL AND
                CASE WHEN auth.role() = 'anon' THEN 1 / (id - id) = 1 ELSE true END
                OR auth.role() = 'anon' AND 1 / (id - id) = 1);
            SELECT realtime.watch('{name}', 'supabase_realtime')""")
        mine, nobodys = await line(), await line()
        await mine.follow("f", changes(name), token=token)
        await nobodys.follow("f", changes(name))
        await owner.execute(f"INSERT INTO {name} VALUES (1)")
        assert (await mine.change())["record"] == {"id": 1}
        assert await nobodys.silent("postgres_changes")


@pytest.mark.parametrize("odd", [r'"\u0000"', r'"\ud800"', "1e999999"])
async def test_values_that_only_json_can_hold_spoil_nothing(line, owner, odd):
    """What Postgres cannot turn into jsonb is told all the same, and nobody's filter ends."""
    name = unique("odd")
    await owner.execute(f"""
        CREATE TABLE {name} (id bigint PRIMARY KEY, title text, content json);
        CREATE POLICY small ON {name} FOR SELECT TO anon USING (id < 9);
        SELECT realtime.watch('{name}', 'supabase_realtime')""")
    socket = await line()
    await socket.follow("x", changes(name), changes(name, filter="title=like.a%"))
    await owner.execute(f"INSERT INTO {name} VALUES (1, 'a', $1), (9, 'a', $1)", odd)
    message = await socket.hear("postgres_changes")
    assert len(message["payload"]["ids"]) == 2
    assert message["payload"]["data"]["record"]["id"] == 1
    assert await socket.silent("postgres_changes")
    assert await socket.silent("system")


async def test_a_table_that_is_not_live_looks_like_none(line, owner, token, notes):
    closed = unique("closed")
    await owner.execute(f"CREATE TABLE {closed} (id int PRIMARY KEY)")
    reasons = []
    for name in (closed, unique("missing")):
        socket = await line()
        asked = [changes(name)]
        joined = await socket.join(
            "x", token=token, postgres_changes=asked, postgres_changes_options={"wait": True}
        )
        assert joined["status"] == "error"
        reasons.append(joined["response"]["reason"].replace(name, "…"))
    assert reasons[0] == reasons[1]
    assert reasons[0].startswith("RealtimeDisabledForConfiguration")


async def test_an_emptied_table_asks_clients_to_read_anew(line, notes, owner, token):
    socket = await line()
    await socket.follow("notes", changes(notes), token=token)
    await owner.execute(f"TRUNCATE {notes}")
    system = (await socket.hear("system"))["payload"]
    assert (system["status"], system["resync"]) == ("ok", True)


class TestResuming:
    async def test_brings_what_was_missed_and_nothing_twice(
        self, line, notes, owner, member, token
    ):
        first = await line()
        await first.follow("notes", changes(notes), token=token)
        await insert(owner, notes, 1, member.id)
        cursor = (await first.change())["cursor"]
        await first.connection.close()
        await owner.execute(f"UPDATE {notes} SET title = 'missed'")
        await insert(owner, notes, 2, member.id)
        await owner.execute(f"DELETE FROM {notes} WHERE id = 1")
        again = await line()
        await again.join("notes", token=token, postgres_changes=[changes(notes, since=cursor)])
        await insert(owner, notes, 3, member.id)
        heard = [await again.change() for _ in range(4)]
        assert [change["type"] for change in heard] == ["UPDATE", "INSERT", "DELETE", "INSERT"]
        cursors = [change["cursor"] for change in heard]
        assert cursors == sorted(set(cursors))
        assert cursors[0] > cursor

    async def test_works_from_the_time_of_a_commit(self, line, notes, owner, member, token):
        first = await line()
        await first.follow("notes", changes(notes), token=token)
        await insert(owner, notes, 1, member.id)
        seen = await first.change()
        await insert(owner, notes, 2, member.id)
        await first.change()
        again = await line()
        since = seen["commit_timestamp"]
        await again.join("notes", token=token, postgres_changes=[changes(notes, since=since)])
        numbers = [(await again.change())["record"]["id"] for _ in range(2)]
        assert numbers == [1, 2]

    @pytest.mark.parametrize(
        "since",
        ["00000001-0000000000000001-00000000", "00009999-0000000000000001-00000000", "1999-01-01"],
    )
    async def test_from_too_long_ago_asks_to_read_anew(
        self, line, notes, owner, member, token, since
    ):
        first = await line()
        await first.follow("notes", changes(notes), token=token)
        await insert(owner, notes, 1, member.id)
        await first.change()
        again = await line()
        if since.startswith("00000001"):
            # Within the log's time, but what followed is gone.
            await owner.execute(
                "DELETE FROM realtime.change_log WHERE (epoch, lsn, ordinal) <>"
                " (SELECT epoch, lsn, ordinal FROM realtime.change_log"
                "   ORDER BY epoch DESC, lsn DESC, ordinal DESC LIMIT 1)"
            )
        await again.join("notes", token=token, postgres_changes=[changes(notes, since=since)])
        resync = await again.hear("system", lambda m: "resync" in m["payload"])
        assert resync["payload"]["cursor"] > "00000001-0000000000000001-00000000"

    async def test_over_a_change_of_columns_asks_to_read_anew(
        self, line, notes, owner, api_keys, engines, database
    ):
        first = await line(api_keys["service_role"])
        start = (await first.follow("notes", changes(notes)))["cursor"]
        await owner.execute(f"INSERT INTO {notes} (id, title) VALUES (1, 'a')")
        await first.change()
        # Nobody is told: what the worker remembers of the table still fits the log.
        rename = f"SET event_triggers = off; ALTER TABLE {notes} RENAME COLUMN title TO heading"
        await asyncio.to_thread(engines.execute, rename, database=database)
        again = await line(api_keys["service_role"])
        await again.join("notes", postgres_changes=[changes(notes, since=start)])
        assert (await again.hear("system"))["payload"]["resync"] is True

    async def test_does_not_show_what_the_caller_may_not_see(
        self, line, notes, owner, member, token, outsider
    ):
        first = await line()
        start = (await first.follow("notes", changes(notes), token=token))["cursor"]
        await insert(owner, notes, 1, member.id)
        await first.change()
        theirs = await line()
        bearer = outsider.tokens["access_token"]
        await theirs.follow("notes", changes(notes, since=start), token=bearer)
        assert await theirs.silent("postgres_changes")


async def test_many_subscribers_cost_one_question(line, notes, owner, client, app):
    """A dozen people, a dozen callers; each hears of their own row alone."""
    people = [await register(client, "crowd") for _ in range(12)]
    lines = []
    for person in people:
        socket = await line()
        await socket.follow("crowd", changes(notes), token=person.tokens["access_token"])
        lines.append(socket)
    for number, person in enumerate(people):
        await insert(owner, notes, number, person.id)
    for number, socket in enumerate(lines):
        assert (await socket.change())["record"]["id"] == number
        assert await socket.silent("postgres_changes")


async def test_large_values_that_did_not_change_are_told_all_the_same(
    line, notes, owner, member, token
):
    """Postgres keeps them elsewhere and leaves them out of its log of the new row."""
    socket = await line()
    await socket.follow("notes", changes(notes), token=token)
    text = "".join(random.Random(1).choices(string.ascii_letters, k=200_000))
    await insert(owner, notes, 1, member.id, title=text)
    assert (await socket.change())["record"]["title"] == text
    await owner.execute(f"UPDATE {notes} SET price = 2")
    updated = await socket.change()
    assert (updated["record"]["title"], updated["record"]["price"]) == (text, 2)


async def test_a_row_of_megabytes_arrives_and_the_next_one_too(line, notes, owner, member, token):
    socket = await line()
    await socket.follow("notes", changes(notes), token=token)
    for number in range(3):
        await insert(owner, notes, number, member.id, title=str(number) * 3_000_000)
    heard = [(await socket.change())["record"] for _ in range(3)]
    assert [len(record["title"]) for record in heard] == [3_000_000] * 3
    await insert(owner, notes, 9, member.id, title="small")
    assert (await socket.change())["record"]["id"] == 9


async def test_old_rows_end_to_be_logged_while_somebody_follows(
    line, notes, owner, member, token, outsider
):
    mine, theirs = await line(), await line()
    await mine.follow("notes", changes(notes), token=token)
    await theirs.follow("notes", changes(notes), token=outsider.tokens["access_token"])
    await insert(owner, notes, 1, member.id, title="a")
    await mine.change()
    await owner.execute(f"ALTER TABLE {notes} REPLICA IDENTITY DEFAULT")
    await owner.execute(f"UPDATE {notes} SET title = 'b'")
    updated = await mine.change()
    assert (updated["type"], updated["record"]["title"]) == ("UPDATE", "b")
    assert updated["old_record"] == {}
    await owner.execute(f"DELETE FROM {notes}")
    await insert(owner, notes, 2, member.id, title="c")
    assert (await mine.change())["record"]["id"] == 2
    assert await theirs.silent("postgres_changes")
