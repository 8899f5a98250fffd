"""The schema over HTTP: described, drawn, and as types that real compilers take."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, sign_in, unique
from tests.fixtures.app import SUPERUSER, make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from tests.fixtures.served import UNDERCROFT
from undercroft.app import create_app
from undercroft.foundation.db import listener
from undercroft.foundation.settings import Settings

SCHEMA = "/api/v1/schema"
JAVASCRIPT = Path(__file__).parents[1] / "contracts" / "js"
SHOP = """
create type mood as enum ('calm', 'it''s "odd"');
create type nothing as enum ();
create type address as (street text, number int);
create domain cents as int check (value >= 0);
create table people (
    id uuid primary key default gen_random_uuid(),
    account uuid references auth.users,
    name text not null,
    mood mood,
    home address,
    tags text[] not null default '{}',
    facts jsonb,
    "odd name" numeric(10, 2),
    "class" int,
    created_at timestamptz not null default now()
);
create table notes (
    id bigint generated always as identity primary key,
    person_id uuid not null references people,
    price cents not null default 0,
    body text,
    size int generated always as (length(body)) stored
);
create table passports (person_id uuid primary key references people, number text not null);
comment on table notes is 'What people wrote';
create view latest_notes as select id, person_id, body from notes;
create materialized view counted as select count(*) as number from notes;
create function add(a int, b int default 1) returns int language sql immutable as 'select a + b';
create function add(a text) returns text language sql immutable as 'select a';
create function everyone() returns setof people language sql stable as 'select * from people';
create function pairs() returns table (left_side int, right_side mood)
    language sql as $$ select 1, 'calm'::mood $$;
create function quiet(x jsonb) returns void language sql as '';
create function on_change() returns trigger language plpgsql as 'begin return new; end';
create table "x""; drop table notes; --" (id int primary key, "a`${1}`b" text);
"""
USES = """
import { createClient } from "@supabase/supabase-js"
import type { Database, Enums, Json, Tables, TablesInsert } from "./database.js"

const client = createClient<Database>("http://127.0.0.1", "key")

export async function check() {
  const one = await client.from("people").select("id, mood, tags, facts").single()
  if (one.data) {
    const id: string = one.data.id
    const mood: "calm" | 'it\\'s "odd"' | null = one.data.mood
    const tags: string[] = one.data.tags
    const facts: Json = one.data.facts
    return [id, mood, tags, facts]
  }
  const embedded = "price, people(name, passports(number))"
  const joined = await client.from("notes").select(embedded).single()
  const name: string | undefined = joined.data?.people.name
  const number: string | undefined = joined.data?.people.passports?.number
  const viewed = await client.from("latest_notes").select("body, people(name)").single()
  const author: string | undefined = viewed.data?.people?.name
  await client.from("notes").insert({ person_id: "x", body: "y" })
  await client.from("notes").update({ price: 1 }).eq("id", 1)
  const sum = await client.rpc("add", { a: 1 })
  const everyone = await client.rpc("everyone")
  const first: Tables<"people"> | undefined = everyone.data?.[0]
  const mood: Enums<"mood"> = "calm"
  const insert: TablesInsert<"people"> = { name: "Ada" }
  return [name, number, author, sum.data, first, mood, insert]
}

export function refuse() {
  // @ts-expect-error: no such table
  client.from("nowhere")
  // @ts-expect-error: an identity is Postgres' own
  client.from("notes").insert({ id: 1, person_id: "x" })
  // @ts-expect-error: a column that must be given
  client.from("notes").insert({ body: "y" })
  // @ts-expect-error: not one of the enumeration
  const mood: Enums<"mood"> = "angry"
  return mood
}
"""
USES_PYTHON = """
from database import AddArgs, EveryoneReturns, Mood, Notes, NotesInsert, NotesUpdate, People

note: NotesInsert = {"person_id": "x", "body": None}
change: NotesUpdate = {"price": 1}
mood: Mood = "calm"


def name_of(person: People) -> str:
    home = person["home"]
    return person["name"] + (home["street"] or "" if home else "")


def total(notes: list[Notes]) -> int:
    return sum(note["price"] for note in notes)


arguments: AddArgs = {"a": 1}
everyone: EveryoneReturns = []
"""


@pytest.fixture(scope="module")
def shop_settings(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    database = make_database()
    asyncio.run(fill(engines.database_url(database)))
    return make_settings(engines, database)


async def fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    # The role has a schema of its own, which would come first.
    await connection.execute("set search_path = public, extensions;" + SHOP)
    await connection.close()


@pytest_asyncio.fixture(scope="module")
async def shop(shop_settings: Settings) -> AsyncIterator[Caller]:
    """The superuser of an application of its own, whose database holds nothing but the shop."""
    async with running(create_app(shop_settings)) as app, make_client(app) as client:
        yield await sign_in(client, SUPERUSER)


async def run(directory: Path, *command: str | Path) -> str:
    """Run to the end; what it printed if it failed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode() if process.returncode else ""


async def written(shop: Caller, lang: str) -> str:
    response = await shop.get(f"{SCHEMA}/types?lang={lang}")
    assert response.status_code == 200, response.text
    return response.text


class TestDescription:
    async def test_names_everything(self, shop: Caller):
        found = (await shop.get(SCHEMA)).json()
        assert found["schemas"] == ["public"]
        assert [table["name"] for table in found["tables"]] == [
            "notes", "passports", "people", 'x"; drop table notes; --',
        ]  # fmt: skip
        notes = found["tables"][0]
        assert (notes["description"], notes["primary_key"]) == ("What people wrote", ["id"])
        assert notes["foreign_keys"][0]["references_table"] == "people"
        assert [column["generated"] for column in notes["columns"]] == [
            True, False, False, False, True,
        ]  # fmt: skip
        assert {view["name"]: view["kind"] for view in found["views"]} == {
            "counted": "materialized view",
            "latest_notes": "view",
        }
        assert found["enums"][0]["values"] == ["calm", 'it\'s "odd"']
        assert [one["name"] for one in found["types"]] == ["address"]
        assert [one["name"] for one in found["functions"]] == [
            "add", "add", "everyone", "pairs", "quiet",
        ]  # fmt: skip

    async def test_draws_tables_and_keys(self, shop: Caller):
        graph = (await shop.get(f"{SCHEMA}/visualization")).json()
        kinds = {node["id"]: node["kind"] for node in graph["nodes"]}
        assert kinds["auth.users"] == "external"
        edges = {(edge["source"], edge["target"]): edge["cardinality"] for edge in graph["edges"]}
        assert edges == {
            ("public.people", "auth.users"): "many-to-one",
            ("public.notes", "public.people"): "many-to-one",
            ("public.passports", "public.people"): "one-to-one",
        }
        assert all(edge[end] in kinds for edge in graph["edges"] for end in ("source", "target"))

    @pytest.mark.parametrize("path", ["", "/visualization", "/types"])
    async def test_ours_do_not_exist(self, shop: Caller, path: str):
        for schema in ("auth", "undercroft", "pg_catalog", "nowhere"):
            assert (await shop.get(f"{SCHEMA}{path}?schema={schema}")).status_code == 404
        # 63 letters are too many where a letter has two bytes.
        answer = await shop.get(f"{SCHEMA}{path}?schema={'é' * 63}")
        assert (answer.status_code, answer.json()["code"]) == (422, "name_too_long")


class TestTypes:
    async def test_typescript_is_what_supabase_js_takes(self, shop: Caller, tmp_path: Path):
        compiler = JAVASCRIPT / "node_modules" / "typescript" / "bin" / "tsc"
        if not compiler.exists():
            pytest.skip("npm ci was not run")
        (tmp_path / "node_modules").symlink_to(JAVASCRIPT / "node_modules")
        (tmp_path / "package.json").write_text('{"type": "module"}')
        (tmp_path / "database.ts").write_text(await written(shop, "typescript"))
        (tmp_path / "uses.ts").write_text(USES)
        options = ("--strict", "--noEmit", "--skipLibCheck", "--module", "nodenext")
        node = UNDERCROFT.with_name("node")
        assert not await run(tmp_path, node, compiler, *options, "--target", "es2022", "uses.ts")

    async def test_python_is_what_mypy_takes(self, shop: Caller, tmp_path: Path):
        (tmp_path / "database.py").write_text(await written(shop, "python"))
        (tmp_path / "uses.py").write_text(USES_PYTHON)
        python = sys.executable
        assert not await run(
            tmp_path, python, "-m", "mypy", "--strict", "--cache-dir", ".cache", "uses.py"
        )
        assert not await run(tmp_path, python, "-c", "import database")

    async def test_an_empty_schema_has_types_too(self, admin: Caller):
        for lang in ("typescript", "python"):
            assert (await admin.get(f"{SCHEMA}/types?lang={lang}")).status_code == 200
        assert (await admin.get(f"{SCHEMA}/types?lang=cobol")).status_code == 422

    async def test_needs_the_permission(self, member: Caller):
        for path in ("", "/visualization", "/types"):
            assert (await member.get(f"{SCHEMA}{path}")).status_code == 403


async def test_temporary_tables_are_no_news(engines: EngineAddresses, database: str):
    connection = await asyncpg.connect(engines.database_url(database))
    heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
    try:
        for channel in ("pgrst", "done"):
            await connection.add_listener(
                channel, lambda _, pid, on, _payload: heard.put_nowait((pid, on))
            )
        for statement in ("create temporary table heard_of (id int)", "drop table heard_of"):
            await connection.execute(statement)
        await connection.execute("create table heard_of (id int); drop table heard_of")
        await connection.execute("notify done")
        news = []
        async with asyncio.timeout(10):
            while "done" not in news:
                pid, channel = await heard.get()
                news += [channel] if pid == connection.get_server_pid() else []
    finally:
        await connection.close()
    assert news == ["pgrst", "done"]


async def test_a_table_is_found_while_its_news_are_held_up(
    service: Caller, engines: EngineAddresses, database: str, monkeypatch: pytest.MonkeyPatch
):
    """As where the server is too busy to deliver them."""
    monkeypatch.setattr(listener, "ANSWER_SECONDS", 0.4)
    table = {"name": unique("held"), "columns": [{"name": "id", "type": "integer"}]}
    assert (await service.get(f"/rest/v1/{table['name']}")).status_code == 404
    connection = await asyncpg.connect(engines.superuser_database_url(database))
    listening = await connection.fetch(
        "select pid from pg_stat_activity"
        " where application_name like '% listener' and datname = current_database()"
    )
    await connection.close()
    assert listening
    try:
        for row in listening:
            os.kill(row["pid"], signal.SIGSTOP)
        made = await service.post("/api/v1/tables", json=table)
        found = await service.get(f"/rest/v1/{table['name']}")
    finally:
        for row in listening:
            os.kill(row["pid"], signal.SIGCONT)
    assert (made.status_code, found.status_code, found.text) == (201, 200, "[]")
