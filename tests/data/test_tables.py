"""Tables, policies and imports over HTTP."""

from typing import Any

import httpx
import pytest

from tests.fixtures.actors import Caller, unique

TABLES = "/api/v1/tables"


async def create(admin: Caller, *columns: dict[str, Any], name: str | None = None) -> str:
    name = name or unique("t")
    body = {"name": name, "columns": list(columns) or [{"name": "id", "type": "serial"}]}
    response = await admin.post(TABLES, json=body)
    assert response.status_code == 201, response.text
    return name


class TestCreateTable:
    async def test_starts_closed_with_what_was_asked_for(self, admin: Caller):
        name = await create(
            admin,
            {"name": "id", "type": "bigserial", "primary_key": True},
            {"name": "owner", "type": "uuid", "default": "auth.uid()", "nullable": False},
            {"name": "amount", "type": "numeric(10,2)", "default": "0"},
            {"name": 'Odd "name"; --', "type": "text[]", "description": "it's odd"},
        )
        table = (await admin.get(f"{TABLES}/{name}")).json()
        assert table["row_security"] is True
        assert table["policies"] == []
        assert [(c["name"], c["type"]) for c in table["columns"]] == [
            ("id", "bigint"),
            ("owner", "uuid"),
            ("amount", "numeric(10,2)"),
            ('Odd "name"; --', "text[]"),
        ]
        assert table["columns"][0]["primary_key"]
        assert table["columns"][3]["description"] == "it's odd"

    @pytest.mark.parametrize(
        ("column", "code"),
        [
            ({"name": "a", "type": "int); drop table auth.users; --"}, "type_invalid"),
            ({"name": "a", "type": "nonsense"}, "statement_refused"),
            ({"name": "a", "type": "int", "default": "1); drop table x; --"}, "expression_invalid"),
            ({"name": "a", "type": "int", "default": "'x'"}, "statement_refused"),
            ({"name": "", "type": "int"}, "invalid"),
            ({"name": "a\u0000b", "type": "int"}, "invalid"),
            ({"name": "a" * 64, "type": "int"}, "invalid"),
            ({"name": "a", "type": "int", "colour": "red"}, "invalid"),
        ],
    )
    async def test_refuses_what_postgres_would_misread(
        self, admin: Caller, column: dict[str, Any], code: str
    ):
        name = unique("t")
        response = await admin.post(TABLES, json={"name": name, "columns": [column]})
        assert response.status_code == 422, response.text
        assert response.json()["code"] == code
        assert (await admin.get(f"{TABLES}/{name}")).status_code == 404

    async def test_a_duplicate_is_a_conflict_unless_asked_otherwise(self, admin: Caller):
        name = await create(admin)
        body = {"name": name, "columns": [{"name": "id", "type": "int"}]}
        assert (await admin.post(TABLES, json=body)).status_code == 409
        again = await admin.post(TABLES, json=body | {"if_not_exists": True})
        assert again.status_code == 201
        assert again.json()["created"] is False

    async def test_system_schemas_do_not_exist(self, admin: Caller):
        body = {"name": "x", "columns": [{"name": "id", "type": "int"}]}
        for schema in ("auth", "undercroft", "pg_catalog", "information_schema", "nowhere"):
            response = await admin.post(TABLES, params={"schema": schema}, json=body)
            assert response.status_code == 404, schema
            assert (await admin.get(f"{TABLES}/users?schema={schema}")).status_code == 404

    async def test_needs_the_permission(
        self, client: httpx.AsyncClient, member: Caller, service: Caller
    ):
        body = {"name": unique("t"), "columns": [{"name": "id", "type": "int"}]}
        assert (await client.post(TABLES, json=body)).status_code == 401
        assert (await member.post(TABLES, json=body)).status_code == 403
        assert (await service.post(TABLES, json=body)).status_code == 201


class TestPolicies:
    async def test_are_kept_as_postgres_understood_them(self, admin: Caller):
        name = await create(admin, {"name": "owner", "type": "uuid"})
        body = {"name": "own rows", "command": "select", "using": "owner = (select auth.uid())"}
        created = await admin.post(f"{TABLES}/{name}/policies", json=body)
        assert created.status_code == 201, created.text
        assert created.json()["roles"] == ["authenticated"]
        assert (await admin.delete(f"{TABLES}/{name}/policies/own rows")).status_code == 204
        assert (await admin.delete(f"{TABLES}/{name}/policies/own rows")).status_code == 404

    async def test_refuse_anything_but_one_expression(self, admin: Caller):
        name = await create(admin)
        for using in ("true); drop table x; --", "true) with check (true", "nowhere = 1", ""):
            body = {"name": "p", "using": using}
            response = await admin.post(f"{TABLES}/{name}/policies", json=body)
            assert response.status_code == 422, using


class TestImport:
    async def upload(self, admin: Caller, name: str, content: bytes, kind: str = "text/csv"):
        headers = {"Content-Type": kind}
        return await admin.post(f"{TABLES}/{name}/import", content=content, headers=headers)

    async def rows(self, admin: Caller, name: str) -> int:
        return int((await admin.get(f"{TABLES}/{name}")).json()["row_estimate"])

    async def test_counts_what_it_kept(self, admin: Caller):
        name = await create(admin, {"name": "a", "type": "int"}, {"name": "b", "type": "text"})
        response = await self.upload(admin, name, b'b,a\n"x, y",1\n"two\nlines",2\n,\n')
        assert response.status_code == 200, response.text
        assert response.json()["rows"] == 3
        assert await self.rows(admin, name) == 3
        lines = b'{"a": 4, "b": "tab\\t and \\\\"}\n\n{"b": null}\n'
        response = await self.upload(admin, name, lines, "application/x-ndjson")
        assert response.json()["rows"] == 2

    @pytest.mark.parametrize(
        ("content", "kind", "line"),
        [
            (b"a,b\n1,x\ntwo,y\n", "text/csv", 3),
            (b"a,b\n1,x\n2\n", "text/csv", 3),
            (b"a,b\n1,x,extra\n", "text/csv", 2),
            (b"a,b\n1,caf\xe9\n", "text/csv", 2),
            (b"a,nope\n1,2\n", "text/csv", 1),
            (b"a,a\n1,2\n", "text/csv", 1),
            (b"", "text/csv", 1),
            (b'{"a": 1}\n{"a": \n', "application/x-ndjson", 2),
            (b'{"a": 1}\n[1]\n', "application/x-ndjson", 2),
            (b'{"a": 1}\n{"b": "x"}\n', "application/x-ndjson", 2),
            (b'{"a": 1}\n{"a": "x"}\n', "application/x-ndjson", 2),
        ],
    )
    async def test_names_the_broken_line_and_keeps_nothing(
        self, admin: Caller, content: bytes, kind: str, line: int
    ):
        name = await create(admin, {"name": "a", "type": "int"}, {"name": "b", "type": "text"})
        response = await self.upload(admin, name, content, kind)
        assert response.status_code == 422, response.text
        assert response.json()["code"] == "import_refused"
        assert response.json()["line"] == line
        assert (await self.upload(admin, name, b"a\n1\n")).json()["rows"] == 1

    async def test_takes_only_kinds_it_knows(self, admin: Caller):
        name = await create(admin)
        assert (await self.upload(admin, name, b"x", "image/png")).status_code == 415
