"""Files into tables that hold some of their rows already."""

import asyncio

import httpx
import pytest

from tests.data.sql_support import run
from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, unique

ID = {"name": "id", "type": "int", "primary_key": True}
EMAIL = {"name": "email", "type": "text", "unique": True}
NAME = {"name": "name", "type": "text"}
SEEN = {"name": "seen", "type": "int", "default": "7"}


class Upserts:
    """People known by their id or e-mail address."""

    def __init__(self, admin: Caller, table: str) -> None:
        self.admin, self.table = admin, table

    async def bring(
        self, content: str, keys: str = "id", resolution: str = "", media: str = "text/csv"
    ) -> httpx.Response:
        params = {"on_conflict": keys} | ({"resolution": resolution} if resolution else {})
        path = f"{TABLES}/{self.table}/import"
        headers = {"Content-Type": media}
        return await self.admin.post(path, content=content, params=params, headers=headers)

    async def rows(self) -> list[str]:
        exported = await self.admin.get(f"{TABLES}/{self.table}/export")
        return sorted(exported.text.splitlines()[1:])


@pytest.fixture
async def people(admin: Caller) -> Upserts:
    table = await create(admin, ID, EMAIL, NAME, SEEN)
    await run(admin, f"insert into {table} values (1, 'ada@x', 'Ada', 1), (2, 'bob@x', 'Bob', 2)")
    return Upserts(admin, table)


class TestUpserts:
    @pytest.mark.parametrize(
        ("media", "content"),
        [
            ("text/csv", "name,id\nAda L.,1\nEve,3\n"),
            ("application/x-ndjson", '{"name": "Ada L.", "id": 1}\n{"id": 3, "name": "Eve"}\n'),
        ],
    )
    async def test_merge_changes_what_the_file_names(
        self, people: Upserts, media: str, content: str
    ):
        response = await people.bring(content, media=media)
        assert response.status_code == 200, response.text
        assert (response.json()["rows"], response.json()["skipped"]) == (2, 0)
        assert await people.rows() == ["1,ada@x,Ada L.,1", "2,bob@x,Bob,2", "3,,Eve,7"]

    async def test_ignore_leaves_what_is_there(self, people: Upserts):
        response = await people.bring("id,name\n1,Else\n3,Eve\n3,Twice\n", resolution="ignore")
        assert (response.json()["rows"], response.json()["skipped"]) == (1, 2)
        assert await people.rows() == ["1,ada@x,Ada,1", "2,bob@x,Bob,2", "3,,Eve,7"]

    async def test_rows_are_known_by_any_unique_columns(self, people: Upserts):
        response = await people.bring("id,email,name\n9,bob@x,Robert\n", "email")
        assert response.status_code == 200, response.text
        assert await people.rows() == ["1,ada@x,Ada,1", "9,bob@x,Robert,2"]

    async def test_a_file_of_keys_alone_changes_nothing(self, people: Upserts):
        response = await people.bring("id\n1\n3\n")
        assert (response.json()["rows"], response.json()["skipped"]) == (1, 1)

    @pytest.mark.parametrize(
        ("content", "keys", "status", "code"),
        [
            ("id,name\n3,Eve\n1,Ada\n1,Else\n", "id", 422, "import_refused"),  # twice
            ("id,name\n3,Eve\n", "name", 422, "statement_refused"),  # not unique
            ("id,email\n3,ada@x\n", "id", 422, "import_refused"),  # somebody else's
            ("id,name\n3,Eve\n", "email", 422, "import_refused"),  # not in the file
            ("id,name\n3,Eve\nx,Eve\n", "id", 422, "import_refused"),
            ("id,name\n3,Eve\n", "nowhere", 404, "column_not_found"),
            ("id,name\n3,Eve\n", "i\nd", 404, "column_not_found"),
            ("id,name\n3,Eve\n", 'id") do nothing; --', 404, "column_not_found"),
        ],
    )
    async def test_what_does_not_fit_changes_nothing(
        self, people: Upserts, content: str, keys: str, status: int, code: str
    ):
        before = await people.rows()
        response = await people.bring(content, keys)
        assert (response.status_code, response.json()["code"]) == (status, code), response.text
        assert await people.rows() == before

    @pytest.mark.parametrize(
        ("media", "content", "line"),
        [
            ("text/csv", "id,name\n1,Ada\n2,Bob\n1,Else\n", 4),  # twice
            ("text/csv", "id,seen\n5,1\n6,2\n7,-1\n8,1\n9,-1\n", 4),
            ("text/csv", 'id,name,seen\n5,"a\n""b\n",1\n6,x,1\n7,"c\n",-1\n', 7),
            ("text/csv", "id,name,seen\r5,x,1\r6,x,-1\r", 3),
            ("text/csv", "id,email\n7,eve@x\n8,ada@x\n", 3),
            ("application/x-ndjson", '{"id": 5, "seen": 1}\n\n\n{"id": 6, "seen": -1}\n', 4),
        ],
    )
    async def test_the_line_of_a_row_that_is_refused_is_named(
        self, people: Upserts, media: str, content: str, line: int
    ):
        await run(people.admin, f"alter table {people.table} add check (seen > 0)")
        before = await people.rows()
        response = await people.bring(content, media=media)
        assert (response.status_code, response.json().get("line")) == (422, line), response.text
        assert await people.rows() == before

    async def test_columns_called_like_our_own_are_not_taken_for_them(self, admin: Caller):
        table = await create(
            admin,
            {"name": "row", "type": "int", "unique": True},
            {"name": "nth", "type": "int"},
        )
        people = Upserts(admin, table)
        assert (await people.bring("row,nth\n1,1\n", "row")).status_code == 200
        refused = await people.bring("row,nth\n1,1\n2,2\n1,3\n", "row")
        assert refused.json()["detail"] == "Line 4: Two rows of the file have the same row."

    async def test_unknown_resolutions_are_refused(self, people: Upserts):
        assert (await people.bring("id\n1\n", resolution="newest")).status_code == 422

    async def test_an_identity_takes_what_the_file_says(self, admin: Caller):
        table = unique("t")
        await run(
            admin,
            f"create table {table} (id int generated always as identity primary key, name text);"
            f"insert into {table} (name) values ('one')",
        )
        people = Upserts(admin, table)
        assert (await people.bring("id,name\n1,uno\n5,cinque\n")).status_code == 200
        assert await people.rows() == ["1,uno", "5,cinque"]

    async def test_odd_names_are_names(self, admin: Caller):
        table, odd = f'{unique("t")} "x"', 'a "b", é'
        quoted = ['"' + name.replace('"', '""') + '"' for name in (table, odd)]
        await run(admin, f"create table {quoted[0]} ({quoted[1]} int unique, n int)")
        people = Upserts(admin, table.replace('"', "%22"))
        for number in (1, 2):
            response = await people.bring(f"{quoted[1]},n\n1,{number}\n", quoted[1])
            assert response.status_code == 200, response.text
        assert await people.rows() == ["1,2"]

    async def test_the_same_file_by_many_at_once(self, people: Upserts):
        content = "id,name\n" + "".join(f"{number},N\n" for number in range(50))
        answers = await asyncio.gather(*(people.bring(content) for _ in range(10)))
        statuses = {answer.status_code for answer in answers}
        assert 200 in statuses
        assert statuses <= {200, 409}  # busy: only so many imports run at once
        assert len(await people.rows()) == 50

    async def test_needs_the_permission_to_import(self, people: Upserts, member: Caller):
        path = f"{TABLES}/{people.table}/import?on_conflict=id"
        refused = await member.post(path, content="id\n1\n", headers={"Content-Type": "text/csv"})
        assert refused.status_code == 403
