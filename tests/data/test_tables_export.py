"""Tables into files over HTTP."""

import csv
import gzip
import io
import json

import pytest

from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, make_group, promoted

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

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("columns=nowhere", 404),
            ("columns=id);drop", 404),
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
