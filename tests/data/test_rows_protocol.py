"""The protocol around rows: media types, plans, preferences, schemas, errors, OPTIONS, CORS."""

from dataclasses import replace

import httpx
import pytest

from tests.fixtures.rows import CONFIG, MakeRows
from undercroft.data.rest import TransactionEnd
from undercroft.data.schema import QualifiedName

OBJECT = "application/vnd.pgrst.object+json"


class TestMediaTypes:
    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            (None, "application/json; charset=utf-8"),
            ("*/*", "application/json; charset=utf-8"),
            ("application/json", "application/json; charset=utf-8"),
            ("application/json; charset=utf-8", "application/json; charset=utf-8"),
            ("APPLICATION/JSON", "application/json; charset=utf-8"),
            ("text/html, application/json;q=0.9, */*;q=0.8", "application/json; charset=utf-8"),
            ("text/csv;q=0.5, application/json", "application/json; charset=utf-8"),
            ("text/csv", "text/csv; charset=utf-8"),
            ("application/json;q=0.1, text/csv;q=0.2", "text/csv; charset=utf-8"),
            (OBJECT, f"{OBJECT}; charset=utf-8"),
            ("application/vnd.pgrst.object", f"{OBJECT}; charset=utf-8"),
            ("application/vnd.pgrst.array+json", "application/json; charset=utf-8"),
            (
                "application/vnd.pgrst.array+json;nulls=stripped",
                "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
            ),
        ],
    )
    async def test_negotiation(
        self, rows: httpx.AsyncClient, accept: str | None, content_type: str
    ):
        headers = {} if accept is None else {"Accept": accept}
        response = await rows.get("/authors?id=eq.1", headers=headers)
        assert response.status_code == 200
        assert response.headers["content-type"] == content_type

    async def test_nothing_acceptable(self, rows: httpx.AsyncClient):
        for path in ("/readers", "/rpc/greet"):
            response = await rows.get(path, headers={"Accept": "image/png, text/plain;q=0.5"})
            assert response.status_code == 406
            assert response.json() == {
                "code": "PGRST107",
                "message": "None of these media types are available: image/png, text/plain",
                "details": None,
                "hint": None,
            }

    async def test_object(self, rows: httpx.AsyncClient):
        response = await rows.get("/readers?id=eq.1", headers={"Accept": OBJECT})
        assert response.json() == {"id": 1, "name": "Ada"}
        for query, count in (("id=eq.9", 0), ("id=gt.1", 2)):
            response = await rows.get(f"/readers?{query}", headers={"Accept": OBJECT})
            assert (response.status_code, response.json()["code"]) == (406, "PGRST116")
            assert response.json()["details"] == f"The result contains {count} rows"

    async def test_nulls_stripped(self, rows: httpx.AsyncClient):
        path = "/authors?select=id,bio&id=in.(1,2)&order=id"
        accept = "application/vnd.pgrst.array+json;nulls=stripped"
        response = await rows.get(path, headers={"Accept": accept})
        assert response.json() == [{"id": 1, "bio": "Wrote of other worlds"}, {"id": 2}]
        response = await rows.get(
            "/authors?select=id,bio&id=eq.2", headers={"Accept": f"{OBJECT};nulls=stripped"}
        )
        assert response.json() == {"id": 2}
        assert response.headers["content-type"] == f"{OBJECT};nulls=stripped; charset=utf-8"

    async def test_csv(self, rows: httpx.AsyncClient):
        response = await rows.get(
            "/books?select=id,title,labels,price&id=in.(1,4)&order=id",
            headers={"Accept": "text/csv"},
        )
        assert response.text == (
            'id,title,labels,price\n1,"The Dispossessed","{novel,utopia}",12.50\n'
            '4,"The Lathe of Heaven",,'
        )
        response = await rows.get("/books?id=eq.99", headers={"Accept": "text/csv"})
        assert response.text == "\n"

    async def test_csv_of_an_embed(self, rows: httpx.AsyncClient):
        response = await rows.get(
            "/books?select=id,authors(name,id),reviews(stars)&id=eq.2",
            headers={"Accept": "text/csv"},
        )
        assert response.text == (
            'id,authors,reviews\n2,"{""id"": 2, ""name"": ""Italo""}","[{""stars"": 3}]"'
        )

    async def test_csv_of_a_write(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, tx_end=TransactionEnd.ROLLBACK))
        response = await rows.post(
            "/publishers",
            json={"id": 9, "name": 'a "b"'},
            headers={"Accept": "text/csv", "Prefer": "return=representation"},
        )
        assert response.text == 'id,name\n9,"a ""b"""'

    async def test_a_function_of_a_media_type(self, rows: httpx.AsyncClient):
        response = await rows.get("/rpc/page", headers={"Accept": "text/html"})
        assert (response.text, response.headers["content-type"]) == ("<h1>hi</h1>", "text/html")
        response = await rows.get("/rpc/raw_bytes", headers={"Accept": "application/vnd.bin"})
        assert response.content == b"\x00\x01\xff"
        response = await rows.get("/rpc/page")
        assert response.json() == "<h1>hi</h1>"

    async def test_an_aggregate_of_a_media_type(self, rows: httpx.AsyncClient):
        headers = {"Accept": "text/html"}
        response = await rows.get("/readers?order=id", headers=headers)
        assert response.text == "<li>Ada</li><li>Ben</li><li>Cleo</li>"
        response = await rows.get("/readers?select=name", headers=headers)
        assert response.status_code == 406
        response = await rows.get("/authors", headers=headers)
        assert response.status_code == 406

    async def test_an_aggregate_of_any_rows(self, rows: httpx.AsyncClient):
        headers = {"Accept": "text/tab-separated-values"}
        response = await rows.get("/readers?select=id,name&id=lt.3&order=id", headers=headers)
        assert response.text == "(1,Ada)\n(2,Ben)\n"
        assert response.headers["content-type"] == "text/tab-separated-values"
        response = await rows.get("/rpc/pairs?n=1", headers=headers)
        assert response.text == "(1,1)\n"

    async def test_a_handler_of_any_media_type(self, rows: httpx.AsyncClient):
        for accept in ("*/*", "app/bingo", "image/png"):
            response = await rows.get("/rpc/anything", headers={"Accept": accept})
            assert response.text == "any"
            assert response.headers["content-type"] == "application/octet-stream"
        response = await rows.get("/rpc/anything_with_type")
        assert response.headers["content-type"] == "app/groucho"

    async def test_a_handler_over_jsonb_keeps_the_byte_of_its_version(
        self, rows: httpx.AsyncClient
    ):
        accept = {"Accept": "application/vnd.facts+json"}
        assert (await rows.get("/rpc/facts_page", headers=accept)).content == b'\x01{"a": 1}'

    async def test_geojson_needs_postgis(self, rows: httpx.AsyncClient):
        response = await rows.get("/readers", headers={"Accept": "application/geo+json"})
        assert (response.status_code, response.json()["code"]) == (404, "42883")


class TestPlans:
    async def test_text(self, rows: httpx.AsyncClient):
        for accept in ("application/vnd.pgrst.plan", "application/vnd.pgrst.plan+text"):
            response = await rows.get("/books", headers={"Accept": accept})
            assert response.text.startswith("Aggregate")
            assert response.headers["content-type"] == (
                'application/vnd.pgrst.plan+text; for="application/json"; charset=utf-8'
            )

    async def test_json_with_options(self, rows: httpx.AsyncClient):
        accept = "application/vnd.pgrst.plan+json; options=analyze|verbose|settings|buffers|wal"
        response = await rows.get("/books?id=eq.1", headers={"Accept": accept})
        plan = response.json()[0]
        assert {"Plan", "Execution Time", "Settings"} <= plan.keys()
        assert "options=analyze|verbose|settings|buffers|wal" in response.headers["content-type"]

    async def test_shows_how_the_body_is_made(self, rows: httpx.AsyncClient):
        headers = {"Accept": "application/vnd.pgrst.plan+json; options=verbose"}
        response = await rows.get("/readers", headers=headers)
        assert response.json()[0]["Plan"]["Output"][2] == (
            "COALESCE(json_agg(ROW(readers.id, readers.name)), '[]'::json)"
        )

        headers["Accept"] = f'application/vnd.pgrst.plan+json; for="{OBJECT}"; options=verbose'
        headers["Prefer"] = "return=representation"
        response = await rows.delete("/readers?id=eq.99", headers=headers)
        assert response.json()[0]["Plan"]["Output"][3] == (
            "COALESCE((json_agg(ROW(readers.id, readers.name)) -> 0), 'null'::json)"
        )

    @pytest.mark.parametrize("path", ["/readers?id=gt.0", "/rpc/books_by?writer=1"])
    async def test_rows_are_counted_once_unless_windowed(self, rows: httpx.AsyncClient, path: str):
        headers = {
            "Accept": "application/vnd.pgrst.plan+json; options=analyze",
            "Prefer": "count=exact",
        }
        response = await rows.get(path, headers=headers)
        assert response.text.count("Aggregate") == 1
        response = await rows.get(f"{path}&limit=1", headers=headers)
        assert response.text.count("Aggregate") > 1

    async def test_of_a_write_and_a_call(self, rows: httpx.AsyncClient):
        headers = {"Accept": f'application/vnd.pgrst.plan+json; for="{OBJECT}"'}
        response = await rows.patch("/books?id=eq.1", json={"pages": 1}, headers=headers)
        assert "Plan" in response.json()[0]
        assert f'for="{OBJECT}"' in response.headers["content-type"]
        response = await rows.get("/rpc/pairs?n=1", headers=headers)
        assert "Plan" in response.json()[0]
        response = await rows.get("/books?select=pages&id=eq.1")
        assert response.json() == [{"pages": 341}]

    async def test_switched_off(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, plan_enabled=False))
        response = await rows.get("/books", headers={"Accept": "application/vnd.pgrst.plan"})
        assert (response.status_code, response.json()["code"]) == (406, "PGRST107")


class TestPreferences:
    async def test_first_of_two_counts(self, rows: httpx.AsyncClient):
        headers = {"Prefer": "count=exact, count=planned"}
        response = await rows.get("/readers", headers=headers)
        assert response.headers["preference-applied"] == "count=exact"

    async def test_two_headers(self, rows: httpx.AsyncClient):
        headers = [("Prefer", "count=exact"), ("Prefer", "handling=lenient")]
        response = await rows.get("/readers", headers=headers)
        assert response.headers["preference-applied"] == "count=exact, handling=lenient"

    async def test_strict_refuses_unknown_ones(self, rows: httpx.AsyncClient):
        headers = {"Prefer": "handling=strict, anything, count=most"}
        for path in ("/readers", "/rpc/greet"):
            response = await rows.get(path, headers=headers)
            assert response.status_code == 400
            assert response.json() == {
                "code": "PGRST122",
                "message": "Invalid preferences given with handling=strict",
                "details": "Invalid preferences: anything, count=most",
                "hint": None,
            }

    async def test_lenient_ignores_unknown_ones(self, rows: httpx.AsyncClient):
        response = await rows.get("/readers", headers={"Prefer": "anything"})
        assert response.status_code == 200
        assert "preference-applied" not in response.headers

    async def test_strict_with_known_ones(self, rows: httpx.AsyncClient):
        response = await rows.get("/readers", headers={"Prefer": "handling=strict,count=exact"})
        assert response.headers["preference-applied"] == "count=exact, handling=strict"


class TestSchemas:
    async def test_default(self, rows: httpx.AsyncClient):
        response = await rows.get("/readers")
        assert response.headers["content-profile"] == "library"

    async def test_accept_profile(self, rows: httpx.AsyncClient):
        for method in ("get", "head"):
            response = await getattr(rows, method)("/notes", headers={"Accept-Profile": "annex"})
            assert response.status_code == 200
            assert response.headers["content-profile"] == "annex"
        response = await rows.get("/notes")
        assert response.status_code == 404

    async def test_content_profile(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, tx_end=TransactionEnd.ROLLBACK))
        headers = {"Content-Profile": "annex", "Prefer": "return=representation"}
        response = await rows.post("/notes", json={"id": 9, "text": "x"}, headers=headers)
        assert response.json() == [{"id": 9, "text": "x"}]
        assert response.headers["content-profile"] == "annex"
        response = await rows.patch("/notes?id=eq.1", json={"text": "x"}, headers=headers)
        assert response.json() == [{"id": 1, "text": "x"}]
        response = await rows.delete("/notes?id=eq.1", headers=headers)
        assert response.json() == [{"id": 1, "text": "from the annex"}]

    async def test_unexposed(self, rows: httpx.AsyncClient):
        for headers in ({"Accept-Profile": "vault"}, {"Accept-Profile": "pg_catalog"}):
            response = await rows.get("/secrets", headers=headers)
            assert response.status_code == 406
            name = headers["Accept-Profile"]
            assert response.json() == {
                "code": "PGRST106",
                "message": f"Invalid schema: {name}",
                "details": None,
                "hint": "Only the following schemas are exposed: library, annex",
            }

    async def test_one_schema_is_not_named(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, schemas=("library",)))
        response = await rows.get("/readers")
        assert "content-profile" not in response.headers


class TestErrors:
    async def test_unknown_table(self, rows: httpx.AsyncClient):
        response = await rows.get("/bookz")
        assert response.status_code == 404
        assert response.json() == {
            "code": "PGRST205",
            "message": "Could not find the table 'library.bookz' in the schema cache",
            "details": None,
            "hint": "Perhaps you meant the table 'library.books'",
        }
        assert list(response.json()) == ["code", "details", "hint", "message"]
        assert response.headers["proxy-status"] == "PostgREST; error=PGRST205"
        for method in ("post", "patch", "put", "delete", "options"):
            response = await getattr(rows, method)("/nothing_like_it")
            assert (response.status_code, response.json()["code"]) in (
                (404, "PGRST205"),
                (400, "PGRST102"),
            )

    async def test_unknown_column(self, rows: httpx.AsyncClient):
        for query in ("select=nope", "nope=eq.1", "order=nope", "or=(nope.eq.1,id.eq.1)"):
            response = await rows.get(f"/books?{query}")
            assert response.status_code == 400
            assert response.json() == {
                "code": "42703",
                "message": "column books.nope does not exist",
                "details": None,
                "hint": None,
            }

    async def test_wrong_path(self, rows: httpx.AsyncClient):
        for path in ("/books/1", "/rpc/add/1", "/rpc/a/b/c"):
            response = await rows.get(path)
            assert response.status_code == 404
            assert response.json() == {
                "code": "PGRST125",
                "message": "Invalid path specified in request URL",
                "details": None,
                "hint": None,
            }

    async def test_wrong_method(self, rows: httpx.AsyncClient):
        response = await rows.request("TRACE", "/books")
        assert response.status_code == 405
        assert response.json()["code"] == "PGRST117"
        assert response.json()["message"] == "Unsupported HTTP method: TRACE"
        response = await rows.post("/")
        assert response.json()["code"] == "PGRST117"

    async def test_wrong_value(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?id=eq.one")
        assert (response.status_code, response.json()["code"]) == (400, "22P02")

    async def test_terse(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, verbose_errors=False))
        response = await rows.get("/bookz")
        assert response.json().keys() == {"code", "message"}


class TestOptions:
    @pytest.mark.parametrize(
        ("path", "methods"),
        [
            ("/", "OPTIONS,GET,HEAD"),
            ("/books", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
            ("/keyless", "OPTIONS,GET,HEAD,POST,PATCH,DELETE"),
            ("/book_list", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
            ("/book_count", "OPTIONS,GET,HEAD"),
            ("/rpc/greet", "OPTIONS,GET,HEAD,POST"),
            ("/rpc/nothing", "OPTIONS,POST"),
        ],
    )
    async def test_allow(self, rows: httpx.AsyncClient, path: str, methods: str):
        response = await rows.options(path)
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["allow"] == methods
        assert response.headers["access-control-allow-origin"] == "*"


class TestCors:
    async def test_preflight(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, cors_allowed_origins=()))
        response = await rows.options(
            "/books",
            headers={
                "Origin": "http://example.com",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "Foo,Bar",
            },
        )
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["access-control-allow-methods"] == (
            "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"
        )
        assert response.headers["access-control-allow-headers"] == (
            "Authorization, Foo, Bar, Accept, Accept-Language, Content-Language"
        )
        assert response.headers["access-control-max-age"] == "86400"
        response = await rows.get("/readers", headers={"Origin": "http://example.com"})
        assert "Content-Range" in response.headers["access-control-expose-headers"]

    async def test_named_origins(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, cors_allowed_origins=("http://ours.example",)))
        response = await rows.get("/readers", headers={"Origin": "http://ours.example"})
        assert response.headers["access-control-allow-origin"] == "http://ours.example"
        assert response.headers["access-control-allow-credentials"] == "true"
        response = await rows.get("/readers", headers={"Origin": "http://other.example"})
        assert "access-control-allow-origin" not in response.headers

    async def test_left_to_the_mounting_app(self, rows: httpx.AsyncClient):
        response = await rows.get("/readers", headers={"Origin": "http://example.com"})
        assert "access-control-allow-origin" not in response.headers


class TestPreRequest:
    async def test_runs_before_and_may_refuse(self, make_rows: MakeRows):
        config = replace(CONFIG, pre_request=QualifiedName("hooks", "before_request"))
        rows = await make_rows(config)
        response = await rows.get("/rpc/setting?name=app.seen")
        assert response.json() == "yes"
        response = await rows.get("/readers", headers={"X-Refuse": "1"})
        assert (response.status_code, response.json()["message"]) == (418, "refused before")
        rows = await make_rows(replace(config, tx_end=TransactionEnd.ROLLBACK))
        response = await rows.get("/rpc/setting?name=app.seen")
        assert response.json() == "yes"


class TestServerHeaders:
    async def test_server_timing(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, server_timing=True))
        for path in ("/readers", "/rpc/greet"):
            response = await rows.get(path)
            names = [part.split(";")[0] for part in response.headers["server-timing"].split(", ")]
            assert names == ["jwt", "parse", "plan", "transaction", "response"]

    @pytest.mark.parametrize(
        ("path", "names"),
        [
            ("/readers?id=one", ["jwt", "parse"]),
            ("/bookz", ["jwt", "parse", "plan"]),
            ("/readers?id=eq.one", ["jwt", "parse", "plan", "transaction"]),
        ],
    )
    async def test_server_timing_of_a_refusal(
        self, make_rows: MakeRows, path: str, names: list[str]
    ):
        rows = await make_rows(replace(CONFIG, server_timing=True))
        response = await rows.get(path)
        parts = response.headers["server-timing"].split(", ")
        assert [part.split(";")[0] for part in parts] == names
        response = await rows.options("/readers")
        parts = response.headers["server-timing"].split(", ")
        assert [part.split(";")[0] for part in parts] == ["jwt", "parse", "response"]

    async def test_vary(self, rows: httpx.AsyncClient):
        for path in ("/readers", "/rpc/greet", "/"):
            assert (await rows.get(path)).headers["vary"] == "Accept, Prefer, Range"
        assert (await rows.options("/readers")).headers["vary"] == "Accept, Prefer, Range"
        assert "vary" not in (await rows.get("/bookz")).headers

    async def test_trace_header_comes_back(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, server_trace_header="X-Request-Id"))
        for path in ("/readers", "/bookz"):
            response = await rows.get(path, headers={"X-Request-Id": "abc"})
            assert response.headers["x-request-id"] == "abc"

    async def test_app_settings(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, app_settings=(("app.settings.token", "t"),)))
        response = await rows.get("/rpc/setting?name=app.settings.token")
        assert response.json() == "t"

    async def test_prefix(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, prefix="/rest/v1"))
        response = await rows.get("/rest/v1/readers?id=eq.1")
        assert response.json() == [{"id": 1, "name": "Ada"}]
        assert response.headers["content-location"] == "/rest/v1/readers?id=eq.1"
        response = await rows.get("/rest/v1/rpc/setting?name=request.path")
        assert response.json() == "/rpc/setting"
