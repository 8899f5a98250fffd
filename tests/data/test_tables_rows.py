"""The grid: rows by page and by key, under the caller's own rights."""

from typing import Any

import pytest
import pytest_asyncio

from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller


@pytest_asyncio.fixture
async def notes(admin: Caller) -> str:
    table = await create(
        admin,
        {"name": "id", "type": "bigserial", "primary_key": True},
        {"name": "owner", "type": "uuid", "default": "auth.uid()"},
        {"name": "body", "type": "text"},
        {"name": "amount", "type": "numeric", "default": "0"},
        {"name": "select", "type": "int"},
    )
    body = {"name": "own", "template": {"kind": "owner", "column": "owner"}}
    made = await admin.post(f"{TABLES}/{table}/policies", json=body)
    assert made.status_code == 201, made.text
    return f"{TABLES}/{table}/data"


async def add(caller: Caller, notes: str, **values: Any) -> dict[str, Any]:
    made = await caller.post(notes, json=values)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def bodies(caller: Caller, notes: str, query: str = "") -> list[str]:
    response = await caller.get(f"{notes}?{query}")
    assert response.status_code == 200, response.text
    return [row["body"] for row in response.json()["data"]]


class TestPages:
    async def test_come_in_order_with_their_number(self, notes: str, member: Caller):
        for number in range(5):
            await add(member, notes, body=f"n{number}", amount=number)
        response = await member.get(f"{notes}?page=2&page_size=2&order_by=id:desc")
        assert response.json()["metadata"] == {
            "total_count": 5,
            "page": 2,
            "page_size": 2,
            "total_pages": 3,
            "columns": ["id", "owner", "body", "amount", "select"],
        }
        assert [row["body"] for row in response.json()["data"]] == ["n2", "n1"]
        beyond = await member.get(f"{notes}?page=9&page_size=2")
        assert (beyond.status_code, beyond.json()["data"]) == (200, [])
        assert beyond.json()["metadata"]["total_count"] == 5

    async def test_filters(self, notes: str, member: Caller):
        for body, amount in (("Fifty %", 1), ("fifty_one", 2), ("a.*b", 3)):
            await add(member, notes, body=body, amount=amount, select=amount)
        for query, found in (
            ("filter_column=body&filter_value=FIFTY", ["Fifty %", "fifty_one"]),
            ("filter_column=body&filter_value=%25", ["Fifty %"]),
            ("filter_column=body&filter_value=.*", ["a.*b"]),
            ("filter_column=body&filter_value=_", ["fifty_one"]),
            ("filter_column=amount&filter_value=2", ["fifty_one"]),
            ("filter_column=select&filter_value=3", ["a.*b"]),
            ("amount=gt.1&order_by=amount:desc", ["a.*b", "fifty_one"]),
            ("or=(amount.eq.1,body.like.a*)&order_by=id", ["Fifty %", "a.*b"]),
            ("order_by=select:desc&page_size=1", ["a.*b"]),
        ):
            assert await bodies(member, notes, query) == found, query

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("order_by=nowhere", 404),
            ("order_by=id;drop", 404),
            ("filter_column=nowhere", 404),
            ("filter_column=amount&filter_value=x", 422),
            ("amount=nonsense", 422),
            ("nowhere=eq.1", 422),
            ("page=0", 422),
            ("page_size=1001", 422),
            ("schema=auth", 404),
            ("order_by=id%00", 404),
            ("filter_column=body&filter_value=%00", 422),
        ],
    )
    async def test_refuse_what_is_none(self, notes: str, member: Caller, query: str, status: int):
        response = await member.get(f"{notes}?{query}")
        assert response.status_code == status, response.text


class TestRows:
    async def test_are_changed_and_deleted_by_key(self, notes: str, member: Caller):
        row = await add(member, notes, body="a")
        changed = await member.put(
            f"{notes}/{row['id']}",
            content=b'{"amount": 12345678901234567890.12}',
        )
        assert changed.status_code == 200, changed.text
        assert (await member.put(f"{notes}/{row['id']}", json={})).json() == changed.json()
        assert (await bodies(member, notes, "amount=eq.12345678901234567890.12")) == ["a"]
        assert (await member.delete(f"{notes}/{row['id']}")).status_code == 204
        for gone in (
            await member.delete(f"{notes}/{row['id']}"),
            await member.put(f"{notes}/{row['id']}", json={"body": "x"}),
        ):
            assert (gone.status_code, gone.json()["code"]) == (404, "row_not_found")

    async def test_keys_of_several_columns_and_of_any_text(self, admin: Caller, service: Caller):
        two = await create(
            admin,
            {"name": "a", "type": "text", "primary_key": True},
            {"name": "b", "type": "int", "primary_key": True},
            {"name": "n", "type": "int"},
        )
        path = f"{TABLES}/{two}/data"
        await add(service, path, a="x, y/z", b=1)
        changed = await service.put(f'{path}/"x, y%2Fz",1', json={"n": 5})
        assert changed.json() == {"a": "x, y/z", "b": 1, "n": 5}
        for unfit in ("x", "x%0D,1"):
            refused = await service.put(f"{path}/{unfit}", json={"n": 5})
            assert (refused.status_code, refused.json()["code"]) == (422, "row_key_invalid")
        bare = await create(admin, {"name": "n", "type": "int"})
        nameless = await service.delete(f"{TABLES}/{bare}/data/1")
        assert (nameless.status_code, nameless.json()["code"]) == (409, "no_primary_key")

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b'{"nowhere": 1}', 422),
            (b'{"amount": "x"}', 422),
            (b'[{"body": "a"}, {"body": "b"}]', 422),
            (b"nonsense", 422),
            (b"", 422),
            (b'{"body": "\\u0000"}', 422),
            (b'{"owner": "01a20119-e240-7b84-9f9e-501473dab4f6"}', 403),
        ],
    )
    async def test_refuse_what_does_not_fit(
        self, notes: str, member: Caller, body: bytes, status: int
    ):
        response = await member.post(notes, content=body)
        assert response.status_code == status, response.text

    async def test_a_duplicate_is_a_conflict(self, notes: str, member: Caller):
        row = await add(member, notes, body="a")
        again = await member.post(notes, json={"id": row["id"]})
        assert (again.status_code, again.json()["code"]) == (409, "rows_conflict")


class TestRights:
    async def test_everyone_sees_and_changes_their_own(
        self, notes: str, member: Caller, outsider: Caller
    ):
        row = await add(member, notes, body="mine")
        assert await bodies(outsider, notes) == []
        assert (await outsider.put(f"{notes}/{row['id']}", json={"body": "x"})).status_code == 404
        assert (await outsider.delete(f"{notes}/{row['id']}")).status_code == 404
        assert await bodies(member, notes) == ["mine"]

    async def test_operators_pass_row_security_when_they_say_so(
        self, notes: str, member: Caller, admin: Caller
    ):
        await add(member, notes, body="theirs")
        assert await bodies(admin, notes) == []
        assert await bodies(admin, notes, "past_row_security=true") == ["theirs"]
        refused = await member.get(f"{notes}?past_row_security=true")
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_permission")

    async def test_a_table_without_a_policy_is_closed(self, admin: Caller, member: Caller):
        table = await create(admin)
        response = await member.get(f"{TABLES}/{table}/data")
        assert (response.status_code, response.json()["code"]) == (403, "rows_forbidden")
        assert "A policy for the role authenticated" in response.json()["hint"]

    async def test_ours_do_not_exist(self, admin: Caller):
        for schema in ("auth", "undercroft", "pg_catalog"):
            query = f"schema={schema}&past_row_security=true"
            response = await admin.get(f"{TABLES}/users/data?{query}")
            assert response.status_code == 404
