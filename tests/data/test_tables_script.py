"""The CREATE script of a table makes the same table again, down to the catalogue."""

import asyncpg
import pytest

from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, unique
from tests.fixtures.engines import EngineAddresses

# {s} is a schema of the case's own; the last table is the one to be written.
BEFORE = """
create type {s}.mood as enum ('calm', 'angry');
create function {s}.touch() returns trigger language plpgsql as 'begin return new; end';
create table {s}.parents (id int primary key, other int unique);
"""
TABLE = {
    "everything": """
        create table {s}.t (
            id bigint generated always as identity (start with 5 increment by 3) primary key,
            "odd ""name"" %" text collate "C" default 'it''s % \\',
            old serial, small smallserial not null,
            parent int not null references {s}.parents (other) on delete set null on update cascade,
            mood {s}.mood[] default '{{calm}}',
            price numeric(10, 2) check (price > 0),
            twice numeric generated always as (price * 2) stored,
            period tstzrange, at timestamptz(3) default now(),
            constraint "both; --" unique nulls not distinct (parent, price),
            constraint later foreign key (old) references {s}.parents
                deferrable initially deferred not valid,
            exclude using gist (period with &&)
        ) with (fillfactor = 70, autovacuum_enabled = false);
        create index on {s}.t (lower("odd ""name"" %") text_pattern_ops desc) where price > 1;
        create unique index "second" on {s}.t using btree (old) include (small);
        create index on {s}.t using gin (mood);
        create policy "p %" on {s}.t as restrictive for update to authenticated, anon
            using (parent = 1) with check (price < 5);
        create policy q on {s}.t for select using ((select auth.uid()) is not null);
        grant select (price, at), insert on {s}.t to anon;
        grant delete on {s}.t to authenticated with grant option;
        grant usage on sequence {s}.t_old_seq to anon;
        create trigger touched before update of price on {s}.t
            for each row when (old.price is distinct from new.price) execute function {s}.touch();
        create trigger silent after insert on {s}.t execute function {s}.touch();
        alter table {s}.t disable trigger silent;
        alter table {s}.t replica identity full;
        alter table {s}.t alter price set statistics 50, alter price set (n_distinct = 5),
            alter "odd ""name"" %" set storage external, alter mood set compression pglz;
        create statistics {s}.seldom (dependencies) on parent, old from {s}.t;
        create rule kept as on delete to {s}.t where old.id < 0 do instead nothing;
        alter table {s}.t disable rule kept;
        comment on statistics {s}.seldom is 's';
        alter table {s}.t force row level security;
        comment on table {s}.t is 'it''s; -- a %I table';
        comment on column {s}.t."odd ""name"" %" is E'two\\nlines';
        comment on constraint "both; --" on {s}.t is 'c';
        comment on index {s}."second" is 'i';
        comment on policy q on {s}.t is 'p';
        comment on trigger touched on {s}.t is 't';
    """,
    "bare": "create table {s}.t ()",
    "partitioned": """
        create table {s}.t (id int, day date not null, primary key (id, day))
            partition by range (day)
    """,
    "partition": """
        create table {s}.whole (id int, day date, primary key (id, day)) partition by range (day);
        create trigger cloned before insert on {s}.whole for each row execute function {s}.touch();
        create table {s}.t partition of {s}.whole for values from ('2026-01-01') to (maxvalue);
    """,
    "inheriting": """
        create table {s}.base (id int not null check (id > 0), word text default 'x');
        create table {s}.t (more int) inherits ({s}.base);
    """,
    "typed": """
        create type {s}.shape as (id int, word text);
        create table {s}.t of {s}.shape (primary key (id));
        alter table {s}.t replica identity using index t_pkey, cluster on t_pkey;
    """,
    "unlogged": "create unlogged table {s}.t (id int)",
    "open": "create table {s}.t (id int); alter table {s}.t disable row level security",
}


# What the script says could be wrong in the same way as the script of what it made.
PROMISES = {
    "everything": [
        (
            "select attstattarget = 50 and attoptions = '{{n_distinct=5}}' from pg_attribute"
            " where attrelid = '{s}.t'::regclass and attname = 'price'"
        ),
        (
            "select attcompression = 'p' from pg_attribute"
            " where attrelid = '{s}.t'::regclass and attname = 'mood'"
        ),
        (
            "select ev_enabled = 'D' from pg_rewrite where rulename = 'kept'"
            " and ev_class = '{s}.t'::regclass"
        ),
        "select true from pg_statistic_ext where stxrelid = '{s}.t'::regclass",
    ],
    "partition": [
        "select relispartition from pg_class where oid = '{s}.t'::regclass",
        "select count(*) = 1 from pg_trigger where tgrelid = '{s}.t'::regclass",
    ],
    "inheriting": ["select true from pg_inherits where inhrelid = '{s}.t'::regclass"],
    "typed": [
        (
            "select reloftype = '{s}.shape'::regtype and relreplident = 'i' from pg_class"
            " where oid = '{s}.t'::regclass"
        ),
        "select indisclustered from pg_index where indrelid = '{s}.t'::regclass",
    ],
}


async def script_of(admin: Caller, table: str, schema: str = "public") -> str:
    response = await admin.get(f"{TABLES}/{table}/sql?schema={schema}")
    assert response.status_code == 200, response.text
    return response.text


@pytest.mark.parametrize("name", TABLE)
async def test_makes_the_same_table_again(
    admin: Caller, engines: EngineAddresses, database: str, name: str
):
    schema = unique("scripted")
    connection = await asyncpg.connect(engines.database_url(database))
    await connection.execute("set search_path = public, extensions")
    await connection.execute(f"create schema {schema};" + BEFORE.format(s=schema))
    await connection.execute(TABLE[name].format(s=schema))
    script = await script_of(admin, "t", schema)
    seen = (await admin.get(f"{TABLES}/t?schema={schema}")).json()
    await connection.execute(f"drop table {schema}.t")
    await connection.execute("set search_path = ''")
    await connection.execute(script)
    again = (await admin.get(f"{TABLES}/t?schema={schema}")).json()
    for promise in PROMISES.get(name, ()):
        assert await connection.fetchval(promise.format(s=schema)), promise
    assert await script_of(admin, "t", schema) == script
    for volatile in ("size_bytes", "row_estimate"):
        del seen[volatile], again[volatile]
    assert again == seen
    await connection.execute(f"drop schema {schema} cascade")
    await connection.close()


async def test_names_that_attack_stay_names(admin: Caller):
    odd = 'x"; drop table auth.users; --'
    name = await create(
        admin, {"name": odd, "type": "text", "default": "'%s'", "description": "'; --"}
    )
    script = await script_of(admin, name)
    assert '"x""; drop table auth.users; --" text DEFAULT \'%s\'::text' in script
    assert "COMMENT ON COLUMN" in script


async def test_ours_do_not_exist(admin: Caller, member: Caller):
    for schema in ("auth", "undercroft", "pg_catalog"):
        assert (await admin.get(f"{TABLES}/users/sql?schema={schema}")).status_code == 404
    assert (await member.get(f"{TABLES}/{await create(admin)}/sql")).status_code == 403
