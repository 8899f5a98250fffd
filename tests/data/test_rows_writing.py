"""Writing rows: insert, update, delete, and what they answer."""

import httpx
import pytest

from tests.fixtures.rows import FULL, RowsDatabase


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

    async def test_csv_of_long_values(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers",
            content=f"id,name\n9,{'x' * 200_000}\n",
            headers={**FULL, "Content-Type": "text/csv"},
        )
        assert response.status_code == 201, response.text
        assert len(response.json()[0]["name"]) == 200_000

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


class TestBodies:
    async def test_a_number_beyond_a_double(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers?select=name",
            content=b'{"id": 9, "name": 1e400}',
            headers={"Content-Type": "application/json", "Prefer": "return=representation"},
        )
        assert response.json() == [{"name": "1e400"}]

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
    async def test_in_another_encoding_than_utf_8(self, dry: httpx.AsyncClient, encoding: str):
        body = '{"id": 9, "name": "x"}'.encode(encoding)
        headers = {"Content-Type": "application/json"}
        response = await dry.post("/publishers", content=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "PGRST102")


class TestRefusedInserts:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "Empty or invalid json"),
            (b"{", "Empty or invalid json"),
            (b'[{"id": 1}, {"name": "x"}]', "All object keys must match"),
            (b"[1, 2]", "All object keys must match"),
            (b'{"id": "\xff"}', "Empty or invalid json"),
            (b'{"\\ud800": 1}', "Empty or invalid json"),
            (b'{"id": NaN}', "Empty or invalid json"),
            (b"[" * 100_000, "Empty or invalid json"),
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
