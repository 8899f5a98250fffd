"""What the SQL console keeps: the history of its scripts, and snippets."""

import httpx

from tests.data.sql_support import SQL, refused, run
from tests.fixtures.actors import Caller, make_group, promoted, register, unique
from tests.fixtures.lists import check_orders


class TestHistory:
    async def test_has_what_succeeded_and_what_failed(self, admin: Caller):
        word = unique("word")
        await run(admin, f"select '{word}'")
        await refused(admin, f"select '{word}' / 0")
        await refused(admin, f"selec '{word}'")
        page = (await admin.get(f"{SQL}/history", params={"search": word})).json()
        found = [(item["outcome"], item["sqlstate"]) for item in page["items"]]
        assert found == [("failed", "42601"), ("failed", "22P02"), ("succeeded", None)]
        assert page["items"][2]["row_count"] == 1

    async def test_is_ones_own_and_everybodys_for_superusers(
        self, admin: Caller, member: Caller, client: httpx.AsyncClient
    ):
        group = await make_group(admin, "sql:execute")
        await promoted(admin, member, group)
        other = await promoted(admin, await register(client), group)
        word = unique("word")
        await run(member, f"select '{word}'")
        path = f"{SQL}/history?search={word}&everybody=true"
        assert len((await member.get(path)).json()["items"]) == 1
        assert (await other.get(path)).json()["items"] == []
        assert len((await admin.get(path)).json()["items"]) == 1

    async def test_is_paged(self, admin: Caller):
        word = unique("word")
        for number in range(3):
            await run(admin, f"select '{word}', {number}")
        first = (await admin.get(f"{SQL}/history?search={word}&limit=2&count=exact")).json()
        assert (len(first["items"]), first["total"]) == (2, 3)
        rest = await admin.get(
            f"{SQL}/history", params={"search": word, "cursor": first["next_cursor"]}
        )
        assert len(rest.json()["items"]) == 1


class TestSnippets:
    async def test_are_kept_changed_and_deleted_by_their_owner(self, admin: Caller):
        body = {"name": "Newest", "sql_code": "select 1", "description": "d"}
        made = await admin.post(f"{SQL}/snippets", json=body)
        assert made.status_code == 201, made.text
        path = f"{SQL}/snippets/{made.json()['id']}"
        changed = await admin.put(path, json={"sql_code": "select 2", "description": None})
        assert changed.json()["sql_code"] == "select 2"
        assert changed.json()["name"] == "Newest"
        assert changed.json()["description"] is None
        assert (await admin.delete(path)).status_code == 204
        assert (await admin.delete(path)).status_code == 404

    async def test_of_others_are_seen_when_shared_and_never_changed(
        self, admin: Caller, member: Caller
    ):
        await promoted(admin, member, await make_group(admin, "sql:execute"))
        names = {}
        for shared in (True, False):
            body = {"name": unique("s"), "sql_code": "select 1", "is_shared": shared}
            names[shared] = (await admin.post(f"{SQL}/snippets", json=body)).json()
        seen = {
            item["id"] for item in (await member.get(f"{SQL}/snippets?limit=100")).json()["items"]
        }
        assert names[True]["id"] in seen
        assert names[False]["id"] not in seen
        for snippet in names.values():
            path = f"{SQL}/snippets/{snippet['id']}"
            assert (await member.put(path, json={"name": "mine"})).status_code == 404
            assert (await member.delete(path)).status_code == 404

    async def test_keys_have_none_of_their_own(self, service: Caller):
        body = {"name": "x", "sql_code": "select 1"}
        assert (await service.post(f"{SQL}/snippets", json=body)).status_code == 403


async def test_history_and_snippets_sort_and_search(admin: Caller):
    word = unique("sorted")
    for letter in "bca":
        body = {"name": f"{word} {letter}", "sql_code": "select 1"}
        assert (await admin.post(f"{SQL}/snippets", json=body)).status_code == 201
        await run(admin, f"select '{word}'")
    names = ("created_at", "updated_at", "name")
    await check_orders(admin, f"{SQL}/snippets", names, search=word)
    await check_orders(admin, f"{SQL}/history", ("created_at", "caller"), search=word)
