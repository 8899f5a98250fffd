"""Writing rows: insert, upsert, update, delete, and what they answer."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.rows import CONFIG, MakeRows, RowsDatabase
from undercroft.data.rest import TransactionEnd

FULL = {"Prefer": "return=representation"}


@pytest_asyncio.fixture(scope="module")
async def dry(make_rows: MakeRows) -> httpx.AsyncClient:
    """Rolls every write back after answering, as the database of a test suite would."""
    return await make_rows(replace(CONFIG, tx_end=TransactionEnd.ROLLBACK))


@pytest_asyncio.fixture
async def loans(rows_database: RowsDatabase) -> AsyncIterator[None]:
    await rows_database.run("truncate library.loans restart identity")
    yield
    await rows_database.run("truncate library.loans restart identity")


class TestInsert:
    async def test_one_row_is_201_without_a_body(self, dry: httpx.AsyncClient):
        response = await dry.post("/publishers", json={"id": 9, "name": "Faber"})
        assert (response.status_code, response.content) == (201, b"")
        assert response.headers["content-range"] == "*/*"
        assert "content-type" not in response.headers

    async def test_representation(self, dry: httpx.AsyncClient):
        response = await dry.post("/publishers", json={"id": 9, "name": "Faber"}, headers=FULL)
        assert response.status_code == 201
        assert response.json() == [{"id": 9, "name": "Faber"}]
        assert response.headers["preference-applied"] == "return=representation"

    async def test_minimal(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers", json={"id": 9, "name": "x"}, headers={"Prefer": "return=minimal"}
        )
        assert (response.status_code, response.content) == (201, b"")
        assert response.headers["preference-applied"] == "return=minimal"

    async def test_headers_only_tells_where_the_row_is(self, dry: httpx.AsyncClient):
        headers = {"Prefer": "return=headers-only"}
        response = await dry.post("/publishers", json={"id": 9, "name": "Faber"}, headers=headers)
        assert response.headers["location"] == "/publishers?id=eq.9"
        assert response.headers["preference-applied"] == "return=headers-only"
        response = await dry.post("/stock", json={"shelf": 5, "place": 6}, headers=headers)
        assert response.headers["location"] == "/stock?shelf=eq.5&place=eq.6"
        many = [{"id": 9, "name": "a"}, {"id": 10, "name": "b"}]
        response = await dry.post("/publishers", json=many, headers=headers)
        assert "location" not in response.headers

    async def test_select_shapes_the_representation(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/books?select=title,authors(name),full_title",
            json={"id": 9, "title": "New", "author_id": 1},
            headers=FULL,
        )
        assert response.json() == [
            {"title": "New", "full_title": "New (9)", "authors": {"name": "Ursula"}}
        ]

    async def test_many_rows(self, dry: httpx.AsyncClient):
        rows = [{"id": 9, "name": "a"}, {"id": 10, "name": "b"}]
        response = await dry.post(
            "/publishers", json=rows, headers={"Prefer": "return=representation,count=exact"}
        )
        assert response.json() == rows
        assert response.headers["content-range"] == "*/2"

    async def test_order_of_the_representation(self, dry: httpx.AsyncClient):
        rows = [{"id": 9, "name": "a"}, {"id": 10, "name": "b"}]
        response = await dry.post("/publishers?order=id.desc", json=rows, headers=FULL)
        assert [row["id"] for row in response.json()] == [10, 9]

    async def test_no_rows(self, dry: httpx.AsyncClient):
        response = await dry.post("/publishers", json=[], headers=FULL)
        assert (response.status_code, response.json()) == (201, [])

    async def test_a_row_of_defaults(self, dry: httpx.AsyncClient):
        response = await dry.post("/loans?select=status,weeks", json={}, headers=FULL)
        assert response.json() == [{"status": "open", "weeks": 2}]
        response = await dry.post("/loans?select=status", json=[{}, {}], headers=FULL)
        assert response.json() == [{"status": "open"}, {"status": "open"}]

    async def test_columns_leaves_the_rest_of_the_body_alone(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers?columns=id,name",
            json=[{"id": 9, "name": "a", "junk": 1}, {"id": 10, "name": "b"}],
            headers=FULL,
        )
        assert response.json() == [{"id": 9, "name": "a"}, {"id": 10, "name": "b"}]

    async def test_missing_columns_are_null_or_default(self, dry: httpx.AsyncClient):
        path = "/stock?columns=shelf,place,amount&select=place,amount"
        body = [{"shelf": 9, "place": 1}, {"shelf": 9, "place": 2, "amount": 5}]
        response = await dry.post(path, json=body, headers=FULL)
        assert [row["amount"] for row in response.json()] == [None, 5]
        response = await dry.post(
            path, json=body, headers={"Prefer": "return=representation,missing=default"}
        )
        assert [row["amount"] for row in response.json()] == [1, 5]
        assert "missing=default" in response.headers["preference-applied"]

    async def test_missing_default_of_an_identity(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/loans?columns=id,note&select=note,id",
            json={"note": "n"},
            headers={"Prefer": "return=representation,missing=default"},
        )
        assert response.json()[0]["note"] == "n"
        assert isinstance(response.json()[0]["id"], int)

    async def test_csv(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers",
            content='id,name\n9,"a, b"\n10,c\n',
            headers={**FULL, "Content-Type": "text/csv"},
        )
        assert response.json() == [{"id": 9, "name": "a, b"}, {"id": 10, "name": "c"}]

    async def test_csv_null(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/authors?select=id,bio",
            content="id,name,bio\n9,x,NULL\n",
            headers={**FULL, "Content-Type": "text/csv"},
        )
        assert response.json() == [{"id": 9, "bio": None}]

    async def test_form(self, dry: httpx.AsyncClient):
        response = await dry.post("/publishers", data={"id": "9", "name": "a+b c"}, headers=FULL)
        assert response.json() == [{"id": 9, "name": "a+b c"}]

    async def test_types_travel_through(self, dry: httpx.AsyncClient):
        book = {
            "id": 9,
            "title": 'it\'s \\ "quoted" ☃',
            "labels": ["a", "b,c"],
            "facts": {"deep": [1, {"x": None}]},
            "years": "[1990,2000)",
            "binding": "hard",
            "in_print": False,
            "price": 1.5,
        }
        select = ",".join(book)
        response = await dry.post(f"/books?select={select}", json=book, headers=FULL)
        assert response.json() == [{**book, "price": 1.50}]

    async def test_into_a_view(self, dry: httpx.AsyncClient):
        response = await dry.post("/book_list", json={"id": 9, "title": "v"}, headers=FULL)
        assert response.json() == [{"id": 9, "title": "v", "writer": None}]

    async def test_singular(self, dry: httpx.AsyncClient):
        headers = {**FULL, "Accept": "application/vnd.pgrst.object+json"}
        response = await dry.post("/publishers", json={"id": 9, "name": "a"}, headers=headers)
        assert response.json() == {"id": 9, "name": "a"}

    async def test_quoted_column(self, dry: httpx.AsyncClient):
        body = {"kéy": 5, "a column": "x", 'quo"te': "y", "dot.ted": "z"}
        response = await dry.post("/Odd Nämes", json=body, headers=FULL)
        assert response.json() == [body]


class TestRefusedInserts:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "Empty or invalid json"),
            (b"{", "Empty or invalid json"),
            (b'[{"id": 1}, {"name": "x"}]', "All object keys must match"),
            (b"[1, 2]", "All object keys must match"),
            (b'{"id": "\xff"}', "Empty or invalid json"),
        ],
    )
    async def test_bad_body(self, dry: httpx.AsyncClient, body: bytes, message: str):
        response = await dry.post(
            "/publishers", content=body, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 400
        assert response.json() == {
            "code": "PGRST102",
            "message": message,
            "details": None,
            "hint": None,
        }

    async def test_ragged_csv(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers", content="id,name\n9\n", headers={"Content-Type": "text/csv"}
        )
        assert response.status_code == 400
        assert response.json()["message"] == "All lines must have same number of fields"

    async def test_unknown_content_type(self, dry: httpx.AsyncClient):
        response = await dry.post("/publishers", content="x", headers={"Content-Type": "image/png"})
        assert response.status_code == 400
        assert response.json()["message"] == "Content-Type not acceptable: image/png"

    async def test_unknown_column(self, dry: httpx.AsyncClient):
        response = await dry.post("/publishers", json={"id": 9, "naam": "x"})
        assert response.status_code == 400
        assert response.json() == {
            "code": "PGRST204",
            "message": "Could not find the 'naam' column of 'publishers' in the schema cache",
            "details": None,
            "hint": None,
        }

    @pytest.mark.parametrize(
        ("table", "body", "status", "code"),
        [
            ("publishers", {"id": 1, "name": "dup"}, 409, "23505"),
            ("books", {"id": 9, "title": "x", "author_id": 77}, 409, "23503"),
            ("publishers", {"id": 9}, 400, "23502"),
            ("loans", {"weeks": 0}, 400, "23514"),
            ("loans", {"note": "far too long for it"}, 400, "22001"),
            ("publishers", {"id": "abc", "name": "x"}, 400, "22P02"),
            ("books", {"id": 9, "title": "x", "binding": "leather"}, 400, "22P02"),
        ],
    )
    async def test_what_the_database_refuses(
        self, rows: httpx.AsyncClient, table: str, body: dict[str, object], status: int, code: str
    ):
        response = await rows.post(f"/{table}", json=body)
        assert (response.status_code, response.json()["code"]) == (status, code)

    async def test_a_violation_says_what_postgres_says(self, rows: httpx.AsyncClient):
        response = await rows.post("/publishers", json={"id": 1, "name": "dup"})
        assert response.json() == {
            "code": "23505",
            "message": 'duplicate key value violates unique constraint "publishers_pkey"',
            "details": "Key (id)=(1) already exists.",
            "hint": None,
        }


class TestUpsert:
    async def test_merge(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers",
            json=[{"id": 1, "name": "Ace II"}, {"id": 9, "name": "New"}],
            headers={"Prefer": "return=representation,resolution=merge-duplicates"},
        )
        assert response.status_code == 201
        assert response.json() == [{"id": 1, "name": "Ace II"}, {"id": 9, "name": "New"}]
        assert response.headers["preference-applied"] == (
            "resolution=merge-duplicates, return=representation"
        )

    async def test_merge_without_a_new_row_is_200(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers",
            json=[{"id": 1, "name": "Ace II"}],
            headers={"Prefer": "resolution=merge-duplicates"},
        )
        assert response.status_code == 200

    @pytest.mark.parametrize("table", ["publishers", "keyless"])
    async def test_merge_of_nothing_is_200(self, dry: httpx.AsyncClient, table: str):
        headers = {"Prefer": "resolution=merge-duplicates"}
        assert (await dry.post(f"/{table}", json=[], headers=headers)).status_code == 200

    async def test_ignore(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers",
            json=[{"id": 1, "name": "Ace II"}, {"id": 9, "name": "New"}],
            headers={"Prefer": "return=representation,resolution=ignore-duplicates"},
        )
        assert response.status_code == 201
        assert response.json() == [{"id": 9, "name": "New"}]

    async def test_on_conflict_names_another_key(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers?on_conflict=name",
            json={"id": 1, "name": "Ace"},
            headers={"Prefer": "return=representation,resolution=merge-duplicates"},
        )
        assert response.json() == [{"id": 1, "name": "Ace"}]

    async def test_on_conflict_without_such_a_key(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/authors?on_conflict=name",
            json={"id": 1, "name": "x"},
            headers={"Prefer": "resolution=merge-duplicates"},
        )
        assert (response.status_code, response.json()["code"]) == (400, "42P10")

    async def test_a_table_without_a_key_just_inserts(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/keyless", json={"a": "x"}, headers={"Prefer": "resolution=merge-duplicates"}
        )
        assert response.status_code == 201
        assert "preference-applied" not in response.headers


class TestPut:
    async def test_inserts(self, dry: httpx.AsyncClient):
        body = {"id": 9, "name": "New"}
        response = await dry.put("/publishers?id=eq.9", json=body, headers=FULL)
        assert (response.status_code, response.json()) == (201, [body])

    async def test_replaces(self, dry: httpx.AsyncClient):
        body = {"id": 1, "name": "New"}
        response = await dry.put("/publishers?id=eq.1", json=body, headers=FULL)
        assert (response.status_code, response.json()) == (200, [body])
        response = await dry.put("/publishers?id=eq.1", json=body)
        assert (response.status_code, response.content) == (204, b"")

    async def test_composite_key(self, dry: httpx.AsyncClient):
        body = {"shelf": 1, "place": 1, "book": "z", "amount": 9}
        response = await dry.put("/stock?shelf=eq.1&place=eq.1", json=body, headers=FULL)
        assert (response.status_code, response.json()) == (200, [body])

    async def test_must_name_the_key_and_only_it(self, dry: httpx.AsyncClient):
        for query in ("", "?name=eq.x", "?id=eq.1&name=eq.x", "?id=gt.1", "?id=not.eq.1"):
            response = await dry.put(f"/publishers{query}", json={"id": 1, "name": "x"})
            assert (response.status_code, response.json()["code"]) == (405, "PGRST105")

    async def test_must_agree_with_its_url(self, dry: httpx.AsyncClient):
        response = await dry.put("/publishers?id=eq.9", json={"id": 8, "name": "x"})
        assert (response.status_code, response.json()["code"]) == (400, "PGRST115")

    async def test_takes_no_limit(self, dry: httpx.AsyncClient):
        response = await dry.put("/publishers?id=eq.9&limit=1", json={"id": 9, "name": "x"})
        assert (response.status_code, response.json()["code"]) == (400, "PGRST114")


class TestUpdate:
    async def test_is_204_and_says_how_many(self, dry: httpx.AsyncClient):
        response = await dry.patch("/books?id=gt.3", json={"pages": 1})
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["content-range"] == "0-1/*"
        response = await dry.patch(
            "/books?id=gt.3", json={"pages": 1}, headers={"Prefer": "count=exact"}
        )
        assert response.headers["content-range"] == "0-1/2"

    async def test_representation(self, dry: httpx.AsyncClient):
        response = await dry.patch(
            "/books?id=eq.1&select=id,pages,authors(name)", json={"pages": 5}, headers=FULL
        )
        assert response.status_code == 200
        assert response.json() == [{"id": 1, "pages": 5, "authors": {"name": "Ursula"}}]

    async def test_nothing_found(self, dry: httpx.AsyncClient):
        response = await dry.patch("/books?id=eq.99", json={"pages": 5}, headers=FULL)
        assert (response.status_code, response.json()) == (200, [])
        assert response.headers["content-range"] == "*/*"

    async def test_empty_body_changes_nothing(self, dry: httpx.AsyncClient):
        for body in ({}, [], [{}]):
            response = await dry.patch("/books?id=eq.1", json=body)
            assert response.status_code == 204
            response = await dry.patch("/books?id=eq.1&select=id", json=body, headers=FULL)
            assert (response.status_code, response.json()) == (200, [])

    async def test_columns(self, dry: httpx.AsyncClient):
        response = await dry.patch(
            "/books?id=eq.1&columns=pages&select=pages,title",
            json={"pages": 5, "title": "ignored"},
            headers=FULL,
        )
        assert response.json() == [{"pages": 5, "title": "The Dispossessed"}]

    async def test_missing_default(self, dry: httpx.AsyncClient):
        response = await dry.patch(
            "/stock?shelf=eq.2&columns=amount&select=amount",
            json={},
            headers={"Prefer": "return=representation,missing=default"},
        )
        assert response.json() == [{"amount": 1}]

    async def test_logic_filters(self, dry: httpx.AsyncClient):
        response = await dry.patch(
            "/books?or=(id.eq.1,id.eq.2)&select=id&order=id", json={"pages": 5}, headers=FULL
        )
        assert response.json() == [{"id": 1}, {"id": 2}]

    async def test_order_by_what_is_not_selected(self, dry: httpx.AsyncClient):
        response = await dry.patch(
            "/books?id=lt.3&select=id&order=title", json={"pages": 5}, headers=FULL
        )
        assert response.json() == [{"id": 2}, {"id": 1}]

    async def test_filter_on_an_embed_leaves_the_update_alone(self, dry: httpx.AsyncClient):
        response = await dry.patch(
            "/books?id=eq.1&select=id,reviews(stars)&reviews.stars=eq.5",
            json={"pages": 5},
            headers=FULL,
        )
        assert response.json() == [{"id": 1, "reviews": [{"stars": 5}]}]

    async def test_singular(self, dry: httpx.AsyncClient):
        headers = {**FULL, "Accept": "application/vnd.pgrst.object+json"}
        response = await dry.patch("/books?id=eq.1&select=id", json={"pages": 5}, headers=headers)
        assert response.json() == {"id": 1}

    async def test_singular_undoes_an_update_of_many(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        headers = {**FULL, "Accept": "application/vnd.pgrst.object+json"}
        response = await rows.patch("/books?id=gt.0", json={"pages": 5}, headers=headers)
        assert response.status_code == 406
        assert response.json() == {
            "code": "PGRST116",
            "message": "Cannot coerce the result to a single JSON object",
            "details": "The result contains 5 rows",
            "hint": None,
        }
        assert await rows_database.run("select count(*) from library.books where pages = 5") == 0


class TestDelete:
    async def test_is_204(self, dry: httpx.AsyncClient):
        response = await dry.delete("/reviews?stars=lt.4")
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["content-range"] == "*/*"

    async def test_representation_and_count(self, dry: httpx.AsyncClient):
        response = await dry.delete(
            "/reviews?stars=lt.4&select=stars,readers(name)&order=stars",
            headers={"Prefer": "return=representation,count=exact"},
        )
        assert response.status_code == 200
        assert response.json() == [
            {"stars": 1, "readers": {"name": "Cleo"}},
            {"stars": 3, "readers": {"name": "Ada"}},
        ]
        assert response.headers["content-range"] == "*/2"

    async def test_nothing_found(self, dry: httpx.AsyncClient):
        response = await dry.delete("/reviews?stars=eq.99", headers=FULL)
        assert (response.status_code, response.json()) == (200, [])

    async def test_a_referenced_row(self, rows: httpx.AsyncClient):
        response = await rows.delete("/authors?id=eq.1")
        assert (response.status_code, response.json()["code"]) == (409, "23503")


class TestTransactions:
    @pytest.mark.usefixtures("loans")
    async def test_a_write_is_there_when_the_answer_is(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        for number in range(3):  # prepared at the first, executed by name from then on
            response = await rows.post("/loans", json={"note": f"n{number}"})
            assert response.status_code == 201
        assert await rows_database.run("select count(*) from library.loans") == 3

    async def test_rollback_mode_keeps_nothing(
        self, dry: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        await dry.post("/loans", json={"note": "gone"})
        assert await rows_database.run("select count(*) from library.loans") == 0

    @pytest.mark.usefixtures("loans")
    async def test_tx_is_ignored_unless_allowed(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        response = await rows.post("/loans", json={}, headers={"Prefer": "tx=rollback"})
        assert "preference-applied" not in response.headers
        assert await rows_database.run("select count(*) from library.loans") == 1

    @pytest.mark.usefixtures("loans")
    async def test_tx_rollback_and_commit(self, make_rows: MakeRows, rows_database: RowsDatabase):
        client = await make_rows(replace(CONFIG, tx_end=TransactionEnd.COMMIT_ALLOW_OVERRIDE))
        response = await client.post(
            "/loans?select=note",
            json={"note": "x"},
            headers={"Prefer": "tx=rollback,return=representation"},
        )
        assert response.json() == [{"note": "x"}]
        assert response.headers["preference-applied"] == "return=representation, tx=rollback"
        assert await rows_database.run("select count(*) from library.loans") == 0
        await client.post("/loans", json={}, headers={"Prefer": "tx=commit"})
        assert await rows_database.run("select count(*) from library.loans") == 1

    @pytest.mark.usefixtures("loans")
    async def test_a_large_body_is_bound(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        body = [{"note": f"n{number}", "reader_id": 1} for number in range(5000)]
        response = await rows.post("/loans", json=body, headers={"Prefer": "count=exact"})
        assert (response.status_code, response.headers["content-range"]) == (201, "*/5000")
        assert await rows_database.run("select count(*) from library.loans") == 5000


class TestMaxAffected:
    @pytest.mark.parametrize("method", ["patch", "delete"])
    async def test_refuses_more(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase, method: str
    ):
        headers = {"Prefer": "handling=strict,max-affected=1"}
        body = {"json": {"stars": 9}} if method == "patch" else {}
        response = await getattr(rows, method)("/reviews?stars=gt.0", headers=headers, **body)
        assert response.status_code == 400
        assert response.json() == {
            "code": "PGRST124",
            "message": "Query result exceeds max-affected preference constraint",
            "details": "The query affects 4 rows",
            "hint": None,
        }
        assert await rows_database.run("select sum(stars) from library.reviews") == 13

    async def test_lets_that_many_pass(self, dry: httpx.AsyncClient):
        response = await dry.delete(
            "/reviews?stars=eq.5", headers={"Prefer": "handling=strict,max-affected=1"}
        )
        assert response.status_code == 204
        assert response.headers["preference-applied"] == "handling=strict, max-affected=1"

    async def test_is_lenient_by_default(self, dry: httpx.AsyncClient):
        response = await dry.delete("/reviews?stars=gt.0", headers={"Prefer": "max-affected=1"})
        assert response.status_code == 204
        assert "preference-applied" not in response.headers
