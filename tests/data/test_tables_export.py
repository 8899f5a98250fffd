"""Tables into files over HTTP, and files with names of their own into tables."""

import csv
import gzip
import io
import json

import httpx
import pytest

from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, make_group, promoted, unique

ODD = 'Odd "name", é'


async def filled(admin: Caller, service: Caller) -> str:
    table = await create(
        admin,
        {"name": "id", "type": "int", "primary_key": True},
        {"name": ODD, "type": "text"},
        {"name": "raw", "type": "json"},
        {"name": "owner", "type": "uuid"},
        {"name": "tags", "type": "text[]"},
        {"name": "amount", "type": "numeric"},
    )
    rows = [
        {"id": 1, ODD: 'a "quoted", \\ \ttext\nwith lines\r\n\x01\x02', "raw": None},
        {"id": 2, ODD: None, "raw": {"n": 1}},
        {"id": 3, ODD: "", "raw": "text"},
    ]
    rest = {"owner": None, "tags": ['a "b", \\', None], "amount": "12345678901234567890.10"}
    made = await service.post(f"/rest/v1/{table}", json=[rest | row for row in rows])
    assert made.status_code == 201, made.text
    return table


class TestFormats:
    async def test_csv_comes_back_as_it_went(self, admin: Caller, service: Caller):
        table = await filled(admin, service)
        response = await admin.get(
            f'{TABLES}/{table}/export?columns=id,"{ODD.replace(chr(34), chr(34) * 2)}"'
        )
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/csv")
        lines = list(csv.reader(io.StringIO(response.text, newline="")))
        assert lines[0] == ["id", ODD]
        assert lines[1] == ["1", 'a "quoted", \\ \ttext\nwith lines\r\n\x01\x02']
        assert [line[0] for line in lines] == ["id", "1", "2", "3"]

    async def test_ndjson_is_a_row_a_line(self, admin: Caller, service: Caller):
        table = await filled(admin, service)
        await service.post(
            f"/rest/v1/{table}?columns=id,raw", content='[{"id": 4, "raw": {"a":\n\r\t[1,\n2]}}]'
        )
        response = await admin.get(f"{TABLES}/{table}/export?format=ndjson")
        rows = [json.loads(line) for line in response.content.splitlines()]
        assert rows[0][ODD] == 'a "quoted", \\ \ttext\nwith lines\r\n\x01\x02'
        assert (rows[1]["id"], rows[1][ODD], rows[1]["raw"]) == (2, None, {"n": 1})
        assert b'"amount":12345678901234567890.10}' in response.content
        assert rows[3]["raw"] == {"a": [1, 2]}

    async def test_what_was_exported_can_be_imported(self, admin: Caller, service: Caller):
        source, target = await filled(admin, service), await filled(admin, service)
        for kind, media in (("csv", "text/csv"), ("ndjson", "application/x-ndjson")):
            exported = await admin.get(f"{TABLES}/{source}/export?format={kind}")
            await service.delete(f"/rest/v1/{target}?id=gt.0")
            headers = {"Content-Type": media}
            path = f"{TABLES}/{target}/import"
            imported = await admin.post(path, content=exported.content, headers=headers)
            assert imported.status_code == 200, imported.text
            again = await admin.get(f"{TABLES}/{target}/export?format={kind}")
            assert again.content == exported.content

    async def test_is_compressed_for_those_who_accept_it(self, admin: Caller, service: Caller):
        table = await filled(admin, service)
        path = f"{TABLES}/{table}/export"
        plain = await admin.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        async with admin.client.stream(
            "GET",
            path,
            headers={
                "Accept-Encoding": "gzip",
                "Authorization": f"Bearer {admin.tokens['access_token']}",
            },
        ) as response:
            raw = b"".join([piece async for piece in response.aiter_raw()])
        assert gzip.decompress(raw) == plain.content

    async def test_an_empty_table_is_a_header_or_nothing(self, admin: Caller):
        table = await create(admin)
        assert (await admin.get(f"{TABLES}/{table}/export")).text == "id\n"
        assert (await admin.get(f"{TABLES}/{table}/export?format=ndjson")).text == ""


class TestRights:
    async def test_needs_the_permission(self, admin: Caller, service: Caller, member: Caller):
        table = await filled(admin, service)
        assert (await member.get(f"{TABLES}/{table}/export")).status_code == 403

    async def test_as_the_caller_it_holds_what_they_may_see(
        self, admin: Caller, service: Caller, member: Caller
    ):
        table = await filled(admin, service)
        await promoted(admin, member, await make_group(admin, "tables:export"))
        path = f"{TABLES}/{table}/export?columns=id"
        refused = await member.get(f"{path}&as_caller=true")
        assert refused.status_code == 422, refused.text
        body = {"name": "own", "template": {"kind": "owner", "column": "owner"}}
        await admin.post(f"{TABLES}/{table}/policies", json=body)
        await service.post(f"/rest/v1/{table}", json={"id": 9, "owner": member.id})
        assert (await member.get(f"{path}&as_caller=true")).text == "id\n9\n"
        assert (await member.get(path)).text == "id\n1\n2\n3\n9\n"

    async def test_a_policy_that_writes_is_refused(
        self, admin: Caller, service: Caller, member: Caller
    ):
        table, function = await filled(admin, service), unique("writes")
        await promoted(admin, member, await make_group(admin, "tables:export"))
        body = {"name": "own", "template": {"kind": "owner", "column": "owner"}}
        await admin.post(f"{TABLES}/{table}/policies", json=body)
        script = (
            f"CREATE FUNCTION public.{function}() RETURNS bool LANGUAGE plpgsql SECURITY DEFINER"
            f" SET search_path = '' AS $$BEGIN DELETE FROM public.{table}; RETURN true; END$$;"
            f"GRANT EXECUTE ON FUNCTION public.{function}() TO authenticated;"
            f"CREATE POLICY writes ON public.{table} FOR SELECT TO authenticated"
            f" USING (public.{function}())"
        )
        made = await admin.post("/api/v1/sql/query", json={"query": script})
        assert made.status_code == 200, made.text
        response = await member.get(f"{TABLES}/{table}/export?as_caller=true")
        assert (response.status_code, response.json()["sqlstate"]) == (422, "25006")

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("columns=nowhere", 404),
            ("columns=id);drop", 404),
            ("columns=i%0Ad", 404),
            ("format=xml", 422),
            ("schema=auth", 404),
            ("schema=undercroft", 404),
        ],
    )
    async def test_refuses_what_is_none(
        self, admin: Caller, service: Caller, query: str, status: int
    ):
        table = await filled(admin, service)
        response = await admin.get(f"{TABLES}/{table}/export?{query}")
        assert response.status_code == status, response.text


HOSTILE = (
    "' OR true --",
    "\\' OR true --",
    "$1",
    "$2 ' || $1",
    '"; DROP TABLE public.x; --',
    "') TO STDOUT; SELECT pg_sleep(9); --",
    "E'\\\\'",
    "%L {0} \x01",
)


async def exported(caller: Caller, table: str, **filters: str) -> list[str]:
    """The ids of the rows that were exported."""
    query = {"columns": "id"} | filters
    response = await caller.get(f"{TABLES}/{table}/export", params=query)
    assert response.status_code == 200, response.text
    return response.text.split()[1:]


class TestFilters:
    @pytest.mark.parametrize(
        ("filters", "ids"),
        [
            ({"id": "gt.1"}, ["2", "3"]),
            ({"id": "in.(1,3)"}, ["1", "3"]),
            (
                {
                    "id": "not.eq.2",
                    "or": f'("{ODD.replace(chr(34), chr(92) + chr(34))}".eq.,id.eq.2)',
                },
                ["3"],
            ),
            ({"raw->>n": "eq.1"}, ["2"]),
            ({"raw": "is.null"}, ["1"]),
            ({"amount": "eq.12345678901234567890.1"}, ["1", "2", "3"]),
            ({"tags": 'cs.{"a \\"b\\", \\\\"}'}, ["1", "2", "3"]),
            ({"filter_column": ODD, "filter_value": 'QUOTED", \\ '}, ["1"]),
            ({"filter_column": "id", "filter_value": "2"}, ["2"]),
            ({"id": "gt.1", "page": "2", "page_size": "1", "order_by": "id:desc"}, ["2", "3"]),
            ({"id": "in.()"}, []),
        ],
    )
    async def test_are_those_of_the_grid(
        self, admin: Caller, service: Caller, filters: dict[str, str], ids: list[str]
    ):
        assert await exported(admin, await filled(admin, service), **filters) == ids

    async def test_a_column_called_like_a_parameter_is_quoted(self, admin: Caller, service: Caller):
        table = await create(
            admin, {"name": "id", "type": "int"}, {"name": "format", "type": "int"}
        )
        await service.post(f"/rest/v1/{table}", json=[{"id": n, "format": n} for n in (1, 2)])
        assert await exported(admin, table, **{"format": "csv", '"format"': "eq.2"}) == ["2"]

    async def test_ndjson_is_filtered_too(self, admin: Caller, service: Caller):
        table = await filled(admin, service)
        response = await admin.get(f"{TABLES}/{table}/export?format=ndjson&columns=id&id=lt.2")
        assert response.text == '{"id":1}\n'

    async def test_values_stay_values(self, admin: Caller, service: Caller):
        table = await create(
            admin,
            {"name": "id", "type": "int"},
            {"name": "body", "type": "text"},
            {"name": "raw", "type": "jsonb"},
            {"name": "a $1", "type": "text"},
        )
        rows = [
            {"id": n, "body": text, "a $1": text, "raw": {"$1": text, text: text}}
            for n, text in enumerate(HOSTILE)
        ]
        made = await service.post(f"/rest/v1/{table}", json=rows)
        assert made.status_code == 201, made.text
        for n, text in enumerate(HOSTILE):
            found = await exported(admin, table, body=f"eq.{text}", id="gte.0")
            assert found == [str(n)]
            assert await exported(admin, table, **{"a $1": f"eq.{text}"}) == [str(n)]
            # The driver would have written the value into the key as well.
            assert await exported(admin, table, **{"raw->>$1": f"eq.{text}"}) == [str(n)]

    async def test_as_the_caller_nothing_else_comes_into_sight(
        self, admin: Caller, service: Caller, member: Caller
    ):
        table = await filled(admin, service)
        await promoted(admin, member, await make_group(admin, "tables:export"))
        body = {"name": "own", "template": {"kind": "owner", "column": "owner"}}
        await admin.post(f"{TABLES}/{table}/policies", json=body)
        rows = [{"id": n, "owner": member.id} for n in (8, 9)]
        await service.post(f"/rest/v1/{table}", json=rows)
        everything = {"or": "(id.gt.0,id.is.null)"}
        assert await exported(member, table, as_caller="true", **everything) == ["8", "9"]
        assert await exported(member, table, as_caller="true", id="gt.8") == ["9"]

    @pytest.mark.parametrize(
        ("filters", "status"),
        [
            ({"nowhere": "eq.1"}, 404),
            ({"or": "(id.eq.1,nowhere.eq.1)"}, 404),
            ({"pg_typeof": "eq.1"}, 404),
            ({"filter_column": "nowhere"}, 404),
            ({'"id\\" = 1) TO STDOUT --"': "eq.1"}, 404),
            ({"id": "banana"}, 422),
            ({"id": "gt.banana"}, 422),
            ({"id": "eq.1\x00"}, 422),
            ({"or": "(id.eq.1"}, 422),
            ({"authors.id": "eq.1"}, 422),
            ({"limit": "1"}, 422),
            ({"order": "id"}, 422),
            ({"select": "id"}, 422),
        ],
    )
    async def test_refuses_what_is_none(
        self, admin: Caller, service: Caller, filters: dict[str, str], status: int
    ):
        table = await filled(admin, service)
        response = await admin.get(f"{TABLES}/{table}/export", params=filters)
        assert response.status_code == status, response.text
        assert await exported(admin, table) == ["1", "2", "3"]

    async def test_a_schema_that_is_not_served_has_none(self, admin: Caller):
        schema = unique("hidden")
        script = f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.t (id int)"
        assert (await admin.post("/api/v1/sql/query", json={"query": script})).status_code == 200
        path = f"{TABLES}/t/export?schema={schema}"
        assert (await admin.get(path)).text == "id\n"
        refused = await admin.get(f"{path}&id=eq.1")
        assert (refused.status_code, refused.json()["code"]) == (404, "schema_not_served")


CSV_FILE = 'E-mail,"a: ""b""",id\nada@example.com,x,1\n'
NDJSON_FILE = '{"E-mail": "ada@example.com", "a: \\"b\\"": "x", "id": 1}\n{"id": null}\n'


class TestNamesInTheFile:
    async def bring(self, admin: Caller, media: str, content: str, *columns: str) -> httpx.Response:
        names = {"name": "id", "type": "int"}, {"name": "email", "type": "text"}
        self.table = await create(admin, *names, {"name": "note", "type": "text"})
        return await admin.post(
            f"{TABLES}/{self.table}/import",
            content=content,
            params={"columns": columns},
            headers={"Content-Type": media},
        )

    @pytest.mark.parametrize(
        ("media", "content", "rest"),
        [("text/csv", CSV_FILE, ""), ("application/x-ndjson", NDJSON_FILE, ",,\n")],
    )
    async def test_are_told_where_they_differ(
        self, admin: Caller, media: str, content: str, rest: str
    ):
        response = await self.bring(admin, media, content, "E-mail:email", 'a: "b":note')
        assert response.status_code == 200, response.text
        exported = await admin.get(f"{TABLES}/{self.table}/export")
        assert exported.text == "id,email,note\n1,ada@example.com,x\n" + rest

    @pytest.mark.parametrize(
        "columns",
        [
            ("E-mail:email",),
            ("E-mail:nowhere", 'a: "b":note'),
            ("E-mail:email", 'a: "b":email'),
            ("E-mail:id", 'a: "b":note'),
            ("E-mail:email", 'a: "b":note', "Phone:note"),
            ("E-mail",),
            (":email",),
            ("E-mail:email\") FROM PROGRAM 'id' --", 'a: "b":note'),
        ],
    )
    async def test_that_do_not_fit_are_refused(self, admin: Caller, columns: tuple[str, ...]):
        for media, content in (("text/csv", CSV_FILE), ("application/x-ndjson", NDJSON_FILE)):
            response = await self.bring(admin, media, content, *columns)
            assert response.status_code == 422, response.text
            exported = await admin.get(f"{TABLES}/{self.table}/export")
            assert exported.text == "id,email,note\n"
