"""Indexes over HTTP, made at once and by a job."""

from typing import Any

import pytest

from tests.data.sql_support import run
from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, settled, unique


async def documents(admin: Caller) -> str:
    return await create(
        admin,
        {"name": "id", "type": "int", "primary_key": True},
        {"name": "title", "type": "text"},
        {"name": "tags", "type": "text[]"},
        {"name": "gone", "type": "boolean", "default": "false"},
    )


class TestCreate:
    @pytest.mark.parametrize(
        ("body", "definition"),
        [
            ({"columns": ["title"]}, "USING btree (title)"),
            ({"columns": ["title"], "unique": True}, "UNIQUE INDEX"),
            ({"columns": ["title"], "method": "hash"}, "USING hash (title)"),
            ({"columns": ["tags"], "method": "gin"}, "USING gin (tags)"),
            ({"columns": ["id"], "method": "brin"}, "USING brin (id)"),
            ({"columns": ["id"], "method": "gist"}, "USING gist (id)"),
            ({"columns": [{"expression": "lower(title)"}]}, "(lower(title))"),
            (
                {"columns": [{"column": "title", "opclass": "gin_trgm_ops"}], "method": "gin"},
                "extensions.gin_trgm_ops",
            ),
            (
                {"columns": [{"column": "id", "order": "desc", "nulls": "last"}]},
                "(id DESC NULLS LAST)",
            ),
            ({"columns": ["id"], "include": ["title"]}, "INCLUDE (title)"),
            ({"columns": ["id"], "where": "not gone"}, "WHERE (NOT gone)"),
        ],
    )
    async def test_makes_every_kind(self, admin: Caller, body: dict[str, Any], definition: str):
        name = await documents(admin)
        made = await admin.post(f"{TABLES}/{name}/indexes", json=body)
        assert made.status_code == 201, made.text
        assert definition in made.json()["definition"]
        assert made.json()["state"] == "ready"
        path = f"{TABLES}/{name}/indexes/{made.json()['name']}"
        assert (await admin.delete(path)).status_code == 204
        assert (await admin.delete(path)).status_code == 404

    @pytest.mark.parametrize(
        "body",
        [
            {"columns": []},
            {"columns": ["nowhere"]},
            {"columns": [{"column": "id", "expression": "id"}]},
            {"columns": [{"expression": "id); drop table x; --"}]},
            {"columns": [{"expression": "(select 1)"}]},
            {"columns": [{"expression": "now()"}]},
            {"columns": ["id"], "where": "true; drop table x"},
            {"columns": ["id"], "where": "exists (select from auth.users)"},
            {"columns": [{"column": "id", "opclass": "nonsense"}]},
            {"columns": ["id"], "method": "spgist"},
            {"columns": ["id", "title"], "method": "hash"},
        ],
    )
    @pytest.mark.parametrize("concurrently", [False, True])
    async def test_refuses_what_is_none(
        self, admin: Caller, body: dict[str, Any], concurrently: bool
    ):
        name = await documents(admin)
        path = f"{TABLES}/{name}/indexes"
        response = await admin.post(path, json=body | {"concurrently": concurrently})
        assert response.status_code == 422, response.text

    async def test_a_name_is_taken_once(self, admin: Caller):
        path = f"{TABLES}/{await documents(admin)}/indexes"
        body = {"name": f"one of {path}"[-60:], "columns": ["id"]}
        assert (await admin.post(path, json=body)).status_code == 201
        for concurrently in (False, True):
            again = await admin.post(path, json=body | {"concurrently": concurrently})
            assert (again.status_code, again.json()["code"]) == (409, "name_taken")

    async def test_names_that_we_choose_are_free(self, admin: Caller):
        path = f"{TABLES}/{await documents(admin)}/indexes"
        for method in ("btree", "hash", "brin"):
            made = await admin.post(path, json={"columns": ["title"], "method": method})
            assert made.status_code == 201, made.text

    async def test_a_partitioned_table_has_none_that_is_made_later(self, admin: Caller):
        name = unique("t")
        await run(admin, f"create table {name} (a int) partition by range (a)")
        body = {"columns": ["a"], "concurrently": True}
        refused = await admin.post(f"{TABLES}/{name}/indexes", json=body)
        assert (refused.status_code, refused.json()["sqlstate"]) == (422, "0A000")

    async def test_that_of_a_key_stays(self, admin: Caller):
        name = await documents(admin)
        found = (await admin.get(f"{TABLES}/{name}/indexes")).json()["items"]
        assert [(row["primary"], row["constraint"]) for row in found] == [(True, f"{name}_pkey")]
        path = f"{TABLES}/{name}/indexes/{name}_pkey"
        assert (await admin.delete(path)).status_code == 422


@pytest.mark.usefixtures("worker")
class TestConcurrently:
    async def test_is_built_by_a_job(self, admin: Caller):
        path = f"{TABLES}/{await documents(admin)}/indexes"
        body = {"columns": ["title"], "concurrently": True}
        asked = await admin.post(path, json=body)
        assert asked.status_code == 202, asked.text
        name = asked.json()["name"]

        async def ready() -> bool:
            rows = (await admin.get(path)).json()["items"]
            return any(row["name"] == name and row["state"] == "ready" for row in rows)

        assert await settled(ready, 60)

    async def test_says_why_it_failed_and_leaves_nothing(self, admin: Caller):
        table = await documents(admin)
        body = b"id,title\n1,same\n2,same\n"
        headers = {"Content-Type": "text/csv"}
        await admin.post(f"{TABLES}/{table}/import", content=body, headers=headers)
        path = f"{TABLES}/{table}/indexes"
        body = {"columns": ["title"], "unique": True, "concurrently": True}
        name = (await admin.post(path, json=body)).json()["name"]
        found: dict[str, Any] = {}

        async def failed() -> bool:
            found.update({row["name"]: row for row in (await admin.get(path)).json()["items"]})
            return bool(found[name]["state"] == "failed" and found[name]["reason"])

        assert await settled(failed, 60)
        assert "could not create unique index" in found[name]["reason"]
        assert (await admin.delete(f"{path}/{name}")).status_code == 204
        assert len((await admin.get(path)).json()["items"]) == 1
