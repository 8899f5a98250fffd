"""`Idempotency-Key` on writes of `/rest/v1`: done once, answered alike, one's own."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from tests.data.sql_support import run
from tests.fixtures.actors import Caller, unique
from tests.fixtures.engines import EngineAddresses

REPLAYED = "idempotency-replayed"
FULL = {"Prefer": "return=representation, count=exact"}


def keyed(**more: str) -> dict[str, str]:
    return {"Idempotency-Key": unique("key"), **more}


@pytest_asyncio.fixture
async def notes(admin: Caller) -> str:
    """A table that anybody may do anything with."""
    table = unique("notes")
    await run(
        admin,
        f"create table {table} (id serial primary key, note text, who text default current_user);"
        f"create policy everybody on {table} to anon, authenticated"
        " using (true) with check (true)",
    )
    return f"/rest/v1/{table}"


async def noted(caller: Caller, notes: str) -> list[str]:
    return [row["note"] for row in (await caller.get(f"{notes}?order=id")).json()]


async def twice(caller: Caller, method: str, path: str, **options: Any) -> httpx.Response:
    """The answer, which is the same the second time."""
    first = await caller.request(method, path, **options)
    again = await caller.request(method, path, **options)
    assert REPLAYED not in first.headers, first.text
    assert again.headers[REPLAYED] == "true", again.text
    assert (first.status_code, first.content) == (again.status_code, again.content)
    named = ("content-range", "location", "preference-applied", "content-type", "vary")
    assert [first.headers.get(n) for n in named] == [again.headers.get(n) for n in named]
    return first


class TestReplay:
    async def test_an_insert(self, notes: str, member: Caller):
        made = await twice(member, "POST", notes, json={"note": "a"}, headers=keyed(**FULL))
        assert (made.status_code, made.json()[0]["note"]) == (201, "a")
        assert made.headers["preference-applied"] == "return=representation, count=exact"
        headers = keyed(Prefer="return=headers-only")
        made = await twice(member, "POST", notes, json={"note": "b"}, headers=headers)
        assert (made.content, made.headers["location"][:4]) == (b"", notes[:4])
        assert await noted(member, notes) == ["a", "b"]

    async def test_what_went_by_the_shortcut_before(self, notes: str, member: Caller):
        for _ in range(3):
            assert (await member.post(notes, json={"note": "a"})).status_code == 201
        await twice(member, "POST", notes, json={"note": "b"}, headers=keyed())
        assert await noted(member, notes) == ["a", "a", "a", "b"]

    async def test_an_update(self, notes: str, member: Caller):
        await member.post(notes, json=[{"note": "a"}, {"note": "b"}])
        path = f"{notes}?note=in.(a,b)"
        changed = await twice(member, "PATCH", path, json={"note": "c"}, headers=keyed(**FULL))
        assert (changed.status_code, changed.headers["content-range"]) == (200, "0-1/2")
        assert await noted(member, notes) == ["c", "c"]

    async def test_an_upsert(self, notes: str, member: Caller):
        body = {"id": 7, "note": "a", "who": None}
        put = await twice(member, "PUT", f"{notes}?id=eq.7", json=body, headers=keyed(**FULL))
        assert put.status_code == 201

    async def test_a_removal(self, notes: str, member: Caller):
        await member.post(notes, json={"note": "a"})
        gone = await twice(member, "DELETE", f"{notes}?note=eq.a", headers=keyed(**FULL))
        assert [row["note"] for row in gone.json()] == ["a"]
        await member.post(notes, json={"note": "a"})
        plain = await twice(member, "DELETE", f"{notes}?note=eq.a", headers=keyed())
        assert (plain.status_code, plain.content) == (204, b"")

    @pytest.mark.parametrize("kind", ["volatile", "stable"])
    async def test_a_call(self, admin: Caller, member: Caller, kind: str):
        name = unique("now")
        await run(
            admin,
            f"create function {name}() returns text {kind} language sql"
            " as 'select clock_timestamp()::text';"
            f"grant execute on function {name}() to authenticated",
        )
        await twice(member, "POST", f"/rest/v1/rpc/{name}", json={}, headers=keyed())

    async def test_bytes_that_are_no_text(self, admin: Caller, member: Caller):
        name = unique("bytes")
        kind = f"application/{name}"
        await run(
            admin,
            f'create domain "{kind}" as bytea;'
            f'create function {name}() returns "{kind}" language sql'
            f""" as $$ select '\\x00ff0a80'::"{kind}" $$;"""
            f"grant execute on function {name}() to authenticated",
        )
        headers = keyed(Accept=kind)
        told = await twice(member, "POST", f"/rest/v1/rpc/{name}", json={}, headers=headers)
        assert told.content == b"\x00\xff\n\x80"

    async def test_what_the_database_says_of_its_own(self, admin: Caller, member: Caller):
        name = unique("teapot")
        await run(
            admin,
            f"create function {name}() returns void language plpgsql as $$ begin"
            " perform set_config('response.status', '418', true);"
            ' perform set_config(\'response.headers\', \'[{"X-Pot": "1"}, {"X-Pot": "2"}]\', true);'
            " end $$;"
            f"grant execute on function {name}() to authenticated",
        )
        headers = keyed()
        for _ in range(2):
            told = await member.post(f"/rest/v1/rpc/{name}", json={}, headers=headers)
            assert (told.status_code, told.headers.get_list("x-pot")) == (418, ["1", "2"])
        assert told.headers[REPLAYED] == "true"

    async def test_reads_have_no_keys(self, notes: str, member: Caller):
        headers = keyed()
        for note in ("a", "b"):
            await member.post(notes, json={"note": note})
            told = await member.get(f"{notes}?order=id", headers=headers)
            assert told.json()[-1]["note"] == note


class TestWhatAKeyIsFor:
    async def test_another_request_is_refused(self, notes: str, member: Caller):
        headers = keyed(**FULL)
        assert (await member.post(notes, json={"note": "a"}, headers=headers)).status_code == 201
        other = await member.post(notes, json={"note": "b"}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "UCB104")
        wish = headers | {"Prefer": "return=minimal"}
        other = await member.post(notes, json={"note": "a"}, headers=wish)
        assert (other.status_code, other.json()["code"]) == (422, "UCB104")
        assert await noted(member, notes) == ["a"]

    async def test_everyone_has_their_own(
        self, notes: str, member: Caller, outsider: Caller, service: Caller
    ):
        headers = keyed()
        for caller in (member, outsider, service):
            await twice(caller, "POST", notes, json={"note": caller.identifier}, headers=headers)
        assert len(await noted(member, notes)) == 3

    async def test_who_is_not_signed_in_is_known_by_the_address(
        self, notes: str, client: httpx.AsyncClient, member: Caller, api_keys: dict[str, str]
    ):
        headers = keyed(apikey=api_keys["anon"])
        first = await client.post(notes, json={"note": "a"}, headers=headers)
        again = await client.post(notes, json={"note": "a"}, headers=headers)
        assert (first.status_code, again.headers[REPLAYED]) == (201, "true"), first.text
        await twice(member, "POST", notes, json={"note": "a"}, headers=headers)
        assert await noted(member, notes) == ["a", "a"]

    @pytest.mark.parametrize("key", ["", "k" * 256])
    async def test_keys_have_a_length(self, notes: str, member: Caller, key: str):
        headers = {"Idempotency-Key": key}
        answer = await member.post(notes, json={"note": "a"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "UCB104")
        assert await noted(member, notes) == []

    async def test_twenty_at_once_do_it_once(self, notes: str, member: Caller):
        headers = keyed()
        posts = [member.post(notes, json={"note": "a"}, headers=headers) for _ in range(20)]
        answers = await asyncio.gather(*posts)
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert await noted(member, notes) == ["a"]

    async def test_a_refusal_is_not_kept(self, notes: str, member: Caller):
        headers, row = keyed(**FULL), {"id": 5, "note": "a"}
        assert (await member.post(notes, json=row)).status_code == 201
        for _ in range(3):
            refused = await member.post(notes, json=row, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (409, "23505")
        await member.delete(f"{notes}?id=eq.5")
        await twice(member, "POST", notes, json=row, headers=headers)

    async def test_more_rows_than_one_are_not_kept(self, notes: str, member: Caller):
        await member.post(notes, json=[{"note": "a"}, {"note": "a"}])
        headers = keyed(Accept="application/vnd.pgrst.object+json", **FULL)
        path = f"{notes}?note=eq.a"
        for _ in range(2):
            refused = await member.delete(path, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (406, "PGRST116")
        assert await noted(member, notes) == ["a", "a"]


class TestWalls:
    async def test_deferred_code_runs_as_the_caller(
        self, notes: str, admin: Caller, member: Caller
    ):
        table, seen = notes.rpartition("/")[2], unique("seen")
        await run(
            admin,
            f"create function {seen}() returns trigger language plpgsql as $$ begin"
            f" update {table} set who = current_user where id = new.id; return null; end $$;"
            f"create constraint trigger {seen} after insert on {table}"
            f" deferrable initially deferred for each row execute function {seen}();",
        )
        await twice(member, "POST", notes, json={"note": "a", "who": None}, headers=keyed())
        assert (await member.get(notes)).json()[0]["who"] == "authenticated"

    async def test_a_function_that_says_that_it_reads_writes_nothing(
        self, notes: str, admin: Caller, member: Caller
    ):
        table, writes, reads = notes.rpartition("/")[2], unique("writes"), unique("reads")
        await run(
            admin,
            f"create function {writes}() returns int language sql"
            f" as $$ insert into {table} (note) values ('a') returning 1 $$;"
            f"create function {reads}() returns int language sql stable as $$ select {writes}() $$;"
            f"create function {reads}_only() returns int language sql stable as $$ select 1 $$;"
            f"grant execute on function {writes}(), {reads}(), {reads}_only() to authenticated",
        )
        path = f"/rest/v1/rpc/{reads}"
        plain = await member.post(path, json={})
        with_key = await member.post(path, json={}, headers=keyed())
        assert (plain.status_code, plain.json()["code"]) == (405, "25006")
        assert (with_key.status_code, with_key.json()) == (405, plain.json())
        await twice(member, "POST", f"{path}_only", json={}, headers=keyed())
        assert await noted(member, notes) == []

    async def test_one_answer_in_the_place_of_another_is_none(
        self, notes: str, member: Caller, outsider: Caller, engines: EngineAddresses, database: str
    ):
        connection = await asyncpg.connect(engines.superuser_database_url(database))

        async def scopes() -> set[bytes]:
            found = await connection.fetch("select scope from undercroft.idempotency_keys")
            return {row["scope"] for row in found}

        theirs, own, body = keyed(**FULL), keyed(**FULL), {"note": "a"}
        try:
            before = await scopes()
            await member.post(notes, json=body, headers=theirs)
            (source,) = await scopes() - before
            await outsider.post(notes, json=body, headers=own)
            (target,) = await scopes() - before - {source}
            await connection.execute(
                "update undercroft.idempotency_keys set sealed = (select sealed from"
                " undercroft.idempotency_keys where scope = $1) where scope = $2",
                source,
                target,
            )
        finally:
            await connection.close()
        answer = await outsider.post(notes, json=body, headers=own)
        assert (answer.status_code, answer.json()["code"]) == (409, "UCB104")
        assert len(await noted(member, notes)) == 2

    async def test_large_answers_are_not_kept(self, admin: Caller, member: Caller):
        name = unique("large")
        await run(
            admin,
            f"create function {name}() returns text language sql"
            " as $$ select repeat('a', 10000001) $$;"
            f"grant execute on function {name}() to authenticated",
        )
        answer = await member.post(f"/rest/v1/rpc/{name}", json={}, headers=keyed())
        assert (answer.status_code, answer.json()["code"]) == (413, "UCB104")
        assert (await member.post(f"/rest/v1/rpc/{name}", json={})).status_code == 200
