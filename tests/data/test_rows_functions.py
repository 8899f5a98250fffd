"""Calling functions: every way to pass arguments, every kind of result."""

import json

import httpx
import pytest

from tests.fixtures.rows import MakeRows, RowsDatabase

CALLS = {
    "named": ("/add?a=1&b=2", 3),
    "default_left_out": ("/add_with_default?a=1", 11),
    "default_given": ("/add_with_default?a=1&b=2", 3),
    "without": ("/greet", "hello"),
    "overloaded": ("/greet?name=you", "hello you"),
    "row": ("/first_book?select=id,title", {"id": 1, "title": "The Dispossessed"}),
    "no_row": ("/no_book?select=id,title", {"id": None, "title": None}),
    "rows": ("/books_by?writer=2&select=id", [{"id": 2}, {"id": 5}]),
    "rows_filtered": ("/books_by?writer=2&select=id&pages=lt.160", [{"id": 5}]),
    "rows_filtered_by_a_column_not_selected": (
        "/pairs?n=3&select=number&square=gt.1",
        [{"number": 2}, {"number": 3}],
    ),
    "rows_ordered": ("/books_by?writer=2&select=id&order=id.desc", [{"id": 5}, {"id": 2}]),
    "rows_ordered_by_what_is_not_selected": (
        "/books_by?writer=2&select=id&order=title.desc",
        [{"id": 2}, {"id": 5}],
    ),
    "rows_limited": ("/books_by?writer=2&select=id&limit=1&offset=1", [{"id": 5}]),
    "rows_with_an_or": (
        "/pairs?n=3&or=(number.eq.1,square.eq.9)&select=number",
        [{"number": 1}, {"number": 3}],
    ),
    "rows_embed": (
        "/books_by?writer=2&select=title,publishers(name)&limit=1",
        [{"title": "Invisible Cities", "publishers": {"name": "Einaudi"}}],
    ),
    "row_embeds": ("/first_book?select=id,authors(name)", {"id": 1, "authors": {"name": "Ursula"}}),
    "table": ("/pairs?n=2", [{"number": 1, "square": 1}, {"number": 2, "square": 4}]),
    "set_of_scalars": ("/numbers?n=3", [1, 2, 3]),
    "variadic": ("/sum_all?numbers=1&numbers=2&numbers=3", 6),
    "variadic_one": ("/sum_all?numbers=7", 7),
    "array_literal": ("/tags?labels={a,b}", "a+b"),
    "out_parameters": ("/outs?a=2", {"double": 4, "triple": 6}),
    "text_with_a_dot": ("/greet?name=a.b", "hello a.b"),
    "null_result": ("/setting?name=no.such", None),
}


@pytest.mark.parametrize("name", CALLS)
async def test_get(rows: httpx.AsyncClient, name: str):
    path, expected = CALLS[name]
    response = await rows.get(f"/rpc{path}")
    assert response.status_code == 200, response.text
    assert response.json() == expected
    assert response.headers["content-type"] == "application/json; charset=utf-8"


POSTS = {
    "named": ("/add", {"a": 1, "b": 2}, 3),
    "default": ("/add_with_default", {"a": 1}, 11),
    "without": ("/greet", {}, "hello"),
    "overloaded": ("/greet", {"name": "you"}, "hello you"),
    "rows": ("/books_by?select=id&order=id.desc", {"writer": 2}, [{"id": 5}, {"id": 2}]),
    "variadic": ("/sum_all", {"numbers": [1, 2, 3]}, 6),
    "array": ("/tags", {"labels": ["a", "b"]}, "a+b"),
    "single_json": ("/echo_json", {"any": ["thing", 1]}, {"any": ["thing", 1]}),
    "single_json_array": ("/echo_json", [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
    "first_of_an_array_of_objects": ("/add", [{"a": 1, "b": 2}, {"a": 5, "b": 5}], 3),
    "columns": ("/add?columns=a,b", {"a": 1, "b": 2, "junk": 3}, 3),
}


@pytest.mark.parametrize("name", POSTS)
async def test_post(rows: httpx.AsyncClient, name: str):
    path, body, expected = POSTS[name]
    response = await rows.post(f"/rpc{path}", json=body)
    assert response.status_code == 200, response.text
    assert response.json() == expected


class TestBodies:
    async def test_nothing(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/greet")
        assert (response.status_code, response.json()) == (200, "hello")

    async def test_form(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/add", data={"a": "1", "b": "2"})
        assert response.json() == 3

    async def test_form_with_a_repeated_variadic(self, rows: httpx.AsyncClient):
        response = await rows.post(
            "/rpc/sum_all",
            content="numbers=1&numbers=2",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert response.json() == 3

    async def test_csv(self, rows: httpx.AsyncClient):
        response = await rows.post(
            "/rpc/add", content="a,b\n1,2\n", headers={"Content-Type": "text/csv"}
        )
        assert response.json() == 3

    async def test_single_text(self, rows: httpx.AsyncClient):
        response = await rows.post(
            "/rpc/echo_text", content="any 'text'", headers={"Content-Type": "text/plain"}
        )
        assert response.json() == "any 'text'"

    async def test_single_bytes(self, rows: httpx.AsyncClient):
        response = await rows.post(
            "/rpc/count_bytes",
            content=b"\x00\xff\x01",
            headers={"Content-Type": "application/octet-stream"},
        )
        assert response.json() == 3

    async def test_an_argument_without_a_name_is_none(self, rows: httpx.AsyncClient):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for response in (
            await rows.get("/rpc/count_bytes?=5"),
            await rows.post("/rpc/count_bytes", content=b"=5", headers=form),
            await rows.post("/rpc/add", json={"": 5}),
        ):
            assert response.status_code == 404
            assert response.json()["code"] == "PGRST202"


class TestResults:
    async def test_untyped(self, rows: httpx.AsyncClient):
        response = await rows.get("/rpc/untyped")
        assert response.json() == {"a": 1, "b": "x"}
        response = await rows.get("/rpc/untyped_rows")
        assert response.json() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        response = await rows.get("/rpc/untyped_rows?select=a")
        assert (response.status_code, response.json()["code"]) == (400, "42703")

    async def test_void_is_204(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/nothing")
        assert (response.status_code, response.content) == (204, b"")

    async def test_count(self, rows: httpx.AsyncClient):
        response = await rows.get("/rpc/numbers?n=5&limit=2", headers={"Prefer": "count=exact"})
        assert (response.status_code, response.headers["content-range"]) == (206, "0-1/5")

    async def test_singular(self, rows: httpx.AsyncClient):
        headers = {"Accept": "application/vnd.pgrst.object+json"}
        response = await rows.get("/rpc/pairs?n=1", headers=headers)
        assert response.json() == {"number": 1, "square": 1}
        response = await rows.get("/rpc/pairs?n=2", headers=headers)
        assert (response.status_code, response.json()["code"]) == (406, "PGRST116")

    async def test_csv(self, rows: httpx.AsyncClient):
        response = await rows.get("/rpc/pairs?n=2", headers={"Accept": "text/csv"})
        assert response.text == "number,square\n1,1\n2,4"

    async def test_head(self, rows: httpx.AsyncClient):
        response = await rows.head("/rpc/numbers?n=2")
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-range"] == "0-1/*"

    async def test_max_affected(self, rows: httpx.AsyncClient):
        headers = {"Prefer": "handling=strict,max-affected=2"}
        response = await rows.post("/rpc/numbers", json={"n": 2}, headers=headers)
        assert response.status_code == 200
        response = await rows.post("/rpc/numbers", json={"n": 3}, headers=headers)
        assert response.json()["code"] == "PGRST124"
        response = await rows.post("/rpc/add", json={"a": 1, "b": 2}, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "PGRST128")


class TestWrites:
    async def test_a_volatile_function_writes_by_post_only(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        response = await rows.get("/rpc/lend?reader=1")
        assert (response.status_code, response.json()["code"]) == (405, "25006")
        await rows_database.run("truncate library.loans restart identity")
        response = await rows.post("/rpc/lend", json={"reader": 1})
        assert response.status_code == 200
        assert await rows_database.run("select count(*) from library.loans") == 1
        await rows_database.run("truncate library.loans restart identity")


class TestRefusals:
    async def test_unknown_function(self, rows: httpx.AsyncClient):
        response = await rows.get("/rpc/gret?name=x")
        assert response.status_code == 404
        assert response.json() == {
            "code": "PGRST202",
            "message": "Could not find the function library.gret(name) in the schema cache",
            "details": "Searched for the function library.gret with parameter name,"
            " but no matches were found in the schema cache.",
            "hint": "Perhaps you meant to call the function library.greet",
        }

    async def test_wrong_arguments(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/add", json={"a": 1, "c": 2})
        assert response.status_code == 404
        assert response.json() == {
            "code": "PGRST202",
            "message": "Could not find the function library.add(a, c) in the schema cache",
            "details": "Searched for the function library.add with parameters a, c or with a"
            " single unnamed json/jsonb parameter, but no matches were found in the schema cache.",
            "hint": "Perhaps you meant to call the function library.add(a, b)",
        }

    async def test_functions_that_only_differ_in_types(self, rows: httpx.AsyncClient):
        response = await rows.get("/rpc/twin?a=1")
        assert (response.status_code, response.json()["code"]) == (300, "PGRST203")
        assert response.json()["message"].endswith(
            "between: library.twin(a => date), library.twin(a => integer), library.twin(a => text)"
        )

    async def test_no_function_for_a_raw_body(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/add", content="x", headers={"Content-Type": "text/plain"})
        assert response.json()["details"].startswith(
            "Searched for the function library.add with a single unnamed text parameter"
        )

    async def test_method(self, rows: httpx.AsyncClient):
        response = await rows.delete("/rpc/add")
        assert response.status_code == 405
        assert response.json()["message"] == "Cannot use the DELETE method on RPC"
        assert response.json()["code"] == "PGRST101"

    async def test_a_hidden_schema_has_no_functions(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/before_request")
        assert (response.status_code, response.json()["code"]) == (404, "PGRST202")
        response = await rows.post("/rpc/pg_sleep", json={"": 1})
        assert response.status_code == 404

    @pytest.mark.parametrize(
        ("state", "status"),
        [
            ("P0001", 400), ("22012", 400), ("42883", 404), ("42P01", 404), ("PT402", 402),
            ("PTXXX", 500), ("53100", 503), ("54001", 500), ("28000", 403), ("40001", 500),
            ("08006", 503), ("0P000", 403), ("23505", 409), ("21000", 500), ("XX001", 500),
            ("57P01", 503), ("P0002", 500), ("F0000", 500), ("HV000", 500), ("25006", 405),
        ],
    )  # fmt: skip
    async def test_status_of_an_error(self, rows: httpx.AsyncClient, state: str, status: int):
        response = await rows.post("/rpc/fail_with", json={"state": state, "message": "so it is"})
        assert response.status_code == status
        assert response.json() == {
            "code": state,
            "message": "so it is",
            "details": None,
            "hint": None,
        }

    async def test_a_whole_response_raised(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/teapot")
        assert (response.status_code, response.headers["x-spout"]) == (418, "yes")
        assert response.json() == {
            "code": "418",
            "message": "short and stout",
            "details": "d",
            "hint": "h",
        }

    async def test_a_raised_response_that_is_none(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/bad_teapot")
        assert (response.status_code, response.json()["code"]) == (500, "PGRST121")
        assert response.json()["details"] == "Invalid JSON value for MESSAGE: 'no json'"

    @pytest.mark.parametrize(
        ("message", "detail"),
        [
            ({"code": 1, "message": "m"}, {"status": 400, "headers": {}}),
            ({"code": "c", "message": "m", "hint": {}}, {"status": 400, "headers": {}}),
            ({"code": "c", "message": "m"}, {"status": True, "headers": {}}),
            ({"code": "c", "message": "m"}, {"status": 99, "headers": {}}),
            ({"code": "c", "message": "m"}, {"status": 400, "headers": {"X-One": 1}}),
            ({"code": "c", "message": "m"}, {"status": 400, "headers": {}, "status_text": 1}),
        ],
    )
    async def test_a_raised_response_of_wrong_types(
        self, rows: httpx.AsyncClient, message: object, detail: object
    ):
        arguments = {"message": json.dumps(message), "detail": json.dumps(detail)}
        response = await rows.post("/rpc/raising", json=arguments)
        assert (response.status_code, response.json()["code"]) == (500, "PGRST121")


class TestSettings:
    async def test_response_headers_and_status(self, rows: httpx.AsyncClient):
        response = await rows.get("/rpc/with_headers")
        assert (response.status_code, response.json()) == (202, "headed")
        assert response.headers["x-one"] == "1"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["vary"] == "X-Mood"
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]

    async def test_response_headers_that_are_none(self, rows: httpx.AsyncClient):
        response = await rows.get("/rpc/with_bad_headers")
        assert (response.status_code, response.json()["code"]) == (500, "PGRST111")
        response = await rows.get("/rpc/with_bad_status")
        assert (response.status_code, response.json()["code"]) == (500, "PGRST112")

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("request.method", "GET"),
            ("request.path", "/rpc/setting"),
            ("request.cookies", '{"a":"1","b":"two"}'),
            ("request.jwt.claims", '{"role":"rows_member","sub":"ada"}'),
            ("role", "rows_member"),
            ("search_path", '"library", "library"'),
            ("transaction_read_only", "on"),
        ],
    )
    async def test_of_the_request(self, rows: httpx.AsyncClient, name: str, expected: str):
        response = await rows.get(
            f"/rpc/setting?name={name}",
            headers={"Authorization": "rows_member ada", "Cookie": "a=1; b=two", "X-Own": "y"},
        )
        assert response.json() == expected

    async def test_headers(self, rows: httpx.AsyncClient):
        headers = [(b"X-Own", "ÿ".encode()), (b"Cookie", b"a=1")]
        response = await rows.get("/rpc/setting?name=request.headers", headers=headers)
        seen = response.json()
        assert '"x-own":"ÿ"' in seen
        assert "cookie" not in seen

    async def test_nothing_stays_on_the_connection(self, rows: httpx.AsyncClient):
        for _ in range(4):
            await rows.get("/rpc/who", headers={"Authorization": "rows_member ada"})
            response = await rows.get("/rpc/who")
            assert response.json() == "rows_anon"

    async def test_of_a_role(self, rows: httpx.AsyncClient):
        response = await rows.get(
            "/rpc/setting?name=statement_timeout", headers={"Authorization": "rows_slow"}
        )
        assert response.json() == "200ms"
        response = await rows.post(
            "/rpc/nap", json={"seconds": 5}, headers={"Authorization": "rows_slow"}
        )
        assert (response.status_code, response.json()["code"]) == (500, "57014")

    async def test_a_time_limit_is_not_the_next_callers(self, make_rows: MakeRows):
        rows = await make_rows(size=1)
        for _ in range(2):
            response = await rows.post(
                "/rpc/nap", json={"seconds": 5}, headers={"Authorization": "rows_slow"}
            )
            assert response.status_code == 500
            for headers in ({}, {"Prefer": "tx=rollback"}):
                response = await rows.post("/rpc/nap", json={"seconds": 0.4}, headers=headers)
                assert response.status_code == 204

    async def test_of_a_function(self, rows: httpx.AsyncClient):
        response = await rows.post("/rpc/hurried_nap", json={"seconds": 5})
        assert (response.status_code, response.json()["code"]) == (500, "57014")
        response = await rows.get("/rpc/isolation")
        assert response.json() == "serializable"

    async def test_timezone(self, rows: httpx.AsyncClient):
        headers = {"Prefer": "timezone=Asia/Tokyo"}
        response = await rows.get("/books?select=added&id=eq.1", headers=headers)
        assert response.json() == [{"added": "2020-01-01T21:00:00+09:00"}]
        assert response.headers["preference-applied"] == "timezone=Asia/Tokyo"
        # Postgres reads the sign as POSIX does: hours to add to reach UTC
        headers = {"Prefer": "timezone=-05:30"}
        response = await rows.get("/books?select=added&id=eq.1", headers=headers)
        assert response.json() == [{"added": "2020-01-01T17:30:00+05:30"}]
        assert response.headers["preference-applied"] == "timezone=-05:30"
        response = await rows.get("/books?select=added", headers={"Prefer": "timezone=Mars/Base"})
        assert response.status_code == 200
        assert "preference-applied" not in response.headers
        response = await rows.get(
            "/books", headers={"Prefer": "handling=strict, timezone=Mars/Base"}
        )
        assert (response.status_code, response.json()["code"]) == (400, "PGRST122")
