"""Filling tables from files."""

import pytest

from tests.data.sql_support import run
from tests.data.tables_support import TABLES, create
from tests.fixtures.actors import Caller


async def upload(admin: Caller, name: str, content: bytes, kind: str = "text/csv"):
    headers = {"Content-Type": kind}
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
