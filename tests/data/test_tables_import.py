"""Filling tables from files."""

import asyncio

import pytest

from tests.data.sql_support import run
from tests.data.tables_support import TABLES, create
from tests.fixtures.actors import Caller


async def upload(admin: Caller, name: str, content: bytes, kind: str = "text/csv", **headers: str):
    headers |= {"Content-Type": kind}
    return await admin.post(f"{TABLES}/{name}/import", content=content, headers=headers)


async def rows(admin: Caller, name: str) -> int:
    return int((await admin.get(f"{TABLES}/{name}")).json()["row_estimate"])


async def test_counts_what_it_kept(admin: Caller):
    name = await create(admin, {"name": "a", "type": "int"}, {"name": "b", "type": "text"})
    response = await upload(admin, name, b'b,a\n"x, y",1\n"two\nlines",2\n,\n')
    assert response.status_code == 200, response.text
    assert response.json()["rows"] == 3
    assert await rows(admin, name) == 3
    lines = b'{"a": 4, "b": "tab\\t and \\\\"}\n\n{"b": null}\n'
    response = await upload(admin, name, lines, "application/x-ndjson")
    assert response.json()["rows"] == 2


@pytest.mark.parametrize(
    ("content", "kind", "line"),
    [
        (b"a,b\n1,x\ntwo,y\n", "text/csv", 3),
        (b"a,b\n1,x\n2\n", "text/csv", 3),
        (b"a,b\n1,x,extra\n", "text/csv", 2),
        (b"a,b\n1,caf\xe9\n", "text/csv", 2),
        (b"a,nope\n1,2\n", "text/csv", 1),
        (b"a\rb,a\n1,2\n", "text/csv", 2),
        (b"a,a\n1,2\n", "text/csv", 1),
        (b"", "text/csv", 1),
        (b'{"a": 1}\n{"a": \n', "application/x-ndjson", 2),
        (b'{"a": 1}\n[1]\n', "application/x-ndjson", 2),
        (b'{"a": 1}\n{"b": "x"}\n', "application/x-ndjson", 2),
        (b'{"a": 1}\n\n{"a": "x"}\n', "application/x-ndjson", 3),
        (b'a,"b\n1,x\n', "text/csv", 1),
    ],
)
async def test_names_the_broken_line_and_keeps_nothing(
    admin: Caller, content: bytes, kind: str, line: int
):
    name = await create(admin, {"name": "a", "type": "int"}, {"name": "b", "type": "text"})
    response = await upload(admin, name, content, kind)
    assert response.status_code == 422, response.text
    assert response.json()["code"] == "import_refused"
    assert response.json()["line"] == line
    assert (await upload(admin, name, b"a\n1\n")).json()["rows"] == 1


@pytest.mark.parametrize(
    "content", [b"a,b\r1,x\r2,y\r", b"a,b\n1,x\n2,y\n\n\n", b"a,b\r\n1,x\r\n2,y\r\n\r\n"]
)
async def test_takes_every_end_of_a_line_and_of_a_file(admin: Caller, content: bytes):
    name = await create(admin, {"name": "a", "type": "int"}, {"name": "b", "type": "text"})
    response = await upload(admin, name, content)
    assert response.status_code == 200, response.text
    assert response.json()["rows"] == 2


async def test_a_blank_line_is_a_row_of_one_column(admin: Caller):
    name = await create(admin, {"name": "b", "type": "text"})
    assert (await upload(admin, name, b"b\nx\n\n")).json()["rows"] == 2


async def test_names_the_value_that_leads_nowhere(admin: Caller):
    parent = await create(admin, {"name": "id", "type": "int", "primary_key": True})
    key = {"name": "p", "type": "int", "references": {"table": parent}}
    refused = await upload(admin, await create(admin, key), b"p\n7\n")
    assert refused.status_code == 422
    assert "Key (p)=(7) is not present" in refused.json()["reason"]


async def test_a_missing_table_is_to_be_made_first(admin: Caller):
    refused = await upload(admin, "nowhere", b"a\n1\n")
    assert (refused.status_code, refused.json()["code"]) == (404, "no_table_to_fill")
    assert "Make it first" in refused.json()["detail"]


async def test_names_the_line_that_a_trigger_refuses(admin: Caller):
    name = await create(admin, {"name": "a", "type": "int"})
    await run(
        admin,
        f"create function {name}_f() returns trigger language plpgsql as"
        " $$ begin if new.a = 2 then raise 'not two'; end if; return new; end $$;"
        f"create trigger t before insert on {name} for each row execute function {name}_f()",
    )
    refused = await upload(admin, name, b"a\n1\n2\n")
    assert (refused.status_code, refused.json()["line"]) == (422, 3)
    assert refused.json()["reason"] == "not two"


async def test_takes_only_kinds_it_knows(admin: Caller):
    name = await create(admin)
    assert (await upload(admin, name, b"x", "image/png")).status_code == 415


class TestIdempotencyKey:
    async def test_imports_once_however_often_it_is_asked(self, admin: Caller):
        name = await create(admin, {"name": "a", "type": "int", "primary_key": True})
        content, key = (
            b"a\n" + b"\n".join(b"%d" % n for n in range(50_000)),
            {"Idempotency-Key": "k"},
        )
        races = [upload(admin, name, content, **key) for _ in range(4)]
        answers = await asyncio.gather(*races)
        assert 200 in {one.status_code for one in answers}
        others = {one.json()["code"] for one in answers if one.status_code != 200}
        assert others <= {"idempotency_key_in_use"}
        again = await upload(admin, name, content, **key)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
        assert again.json()["rows"] == 50_000
        assert await rows(admin, name) == 50_000
        other = await upload(admin, name, content[:-1], **key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        refused = await upload(admin, name, content, **{"Idempotency-Key": "l"})
        assert refused.json()["code"] == "import_refused"

    async def test_what_did_not_commit_is_not_answered_as_done(self, admin: Caller):
        parent = await create(admin, {"name": "id", "type": "int", "primary_key": True})
        name = await create(admin, {"name": "p", "type": "int"})
        await run(
            admin,
            f"alter table {name} add foreign key (p) references {parent}"
            " deferrable initially deferred",
        )
        key = {"Idempotency-Key": "k"}
        assert (await upload(admin, name, b"p\n7\n", **key)).status_code == 422
        assert (await upload(admin, parent, b"id\n7\n", **key)).status_code == 200
        again = await upload(admin, name, b"p\n7\n", **key)
        assert (again.status_code, "idempotency-replayed" in again.headers) == (200, False)


class TestCharset:
    @pytest.mark.parametrize(
        "charset", ["latin-1", '"Windows-1252"', "utf-16", "UTF-8", "utf-16be"]
    )
    @pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
    async def test_of_a_file_is_the_one_it_names(self, admin: Caller, kind: str, charset: str):
        name = await create(admin, {"name": "a", "type": "int"}, {"name": "bé", "type": "text"})
        text = "a,bé\n1,Ägäis\n2,ö\n" if kind == "text/csv" else '{"a": 1, "bé": "Ägäis"}\n{"a": 2}'
        content = text.encode(charset.strip('"'))
        response = await upload(admin, name, content, f"{kind}; charset={charset}")
        assert response.status_code == 200, response.text
        assert (response.json()["rows"], response.json()["bytes"]) == (2, len(content))
        found = await run(admin, f'select "bé" from {name} where a = 1')
        assert found["results"][-1]["rows"] == [["Ägäis"]]

    @pytest.mark.parametrize(
        "charset", ["klingon", "base64", "rot13", "zlib", "idna", "", "x" * 500]
    )
    async def test_that_nobody_knows_is_refused(self, admin: Caller, charset: str):
        name = await create(admin)
        refused = await upload(admin, name, b"a\n1\n", f'text/csv; charset="{charset}"')
        assert refused.status_code == 415, refused.text
        assert "windows-1252" in refused.json()["detail"]

    async def test_that_the_content_does_not_have_names_the_line(self, admin: Caller):
        name = await create(admin, {"name": "a", "type": "text"})
        content = b"a\nx\n\x81\n"
        refused = await upload(admin, name, content, "text/csv; charset=windows-1252")
        assert (refused.status_code, refused.json()["line"]) == (422, 3)
