"""The OpenAPI document of the rows API: what it tells, to whom, and where it is left out."""

from dataclasses import replace

import httpx

from tests.fixtures.rows import CONFIG, MakeRows
from undercroft.data.rest import OpenApiMode
from undercroft.data.schema import QualifiedName


class TestOpenApi:
    async def test_document(self, rows: httpx.AsyncClient):
        response = await rows.get("/")
        assert response.headers["content-type"] == "application/openapi+json; charset=utf-8"
        document = response.json()
        assert document["swagger"] == "2.0"
        authors = document["definitions"]["authors"]
        assert authors["description"] == "People who write"
        assert authors["required"] == ["id", "name"]
        assert authors["properties"]["id"] == {
            "description": "Note:\nThis is a Primary Key.<pk/>",
            "format": "int32",
            "type": "integer",
        }
        assert authors["properties"]["born"] == {
            "description": "Day of birth",
            "format": "date",
            "type": "string",
        }
        books = document["definitions"]["books"]["properties"]
        assert books["author_id"]["description"] == (
            "Note:\nThis is a Foreign Key to `authors.id`.<fk table='authors' column='id'/>"
        )
        assert books["labels"] == {"format": "text[]", "type": "array", "items": {"type": "string"}}
        assert books["binding"]["enum"] == ["hard", "soft", "none"]
        assert books["facts"] == {"format": "jsonb"}
        assert document["definitions"]["loans"]["properties"]["note"]["maxLength"] == 10
        assert document["definitions"]["loans"]["properties"]["weeks"]["default"] == 2
        assert document["definitions"]["loans"]["properties"]["status"]["default"] == "open"

    async def test_paths(self, rows: httpx.AsyncClient):
        paths = (await rows.get("/", headers={"Accept": "application/json"})).json()["paths"]
        assert paths["/books"].keys() == {"get", "post", "patch", "delete"}
        assert {"$ref": "#/parameters/rowFilter.books.id"} in paths["/books"]["get"]["parameters"]
        assert paths["/book_count"].keys() == {"get"}
        assert paths["/rpc/add"].keys() == {"get", "post"}
        assert paths["/rpc/lend"].keys() == {"post"}
        how = {"name": "how", "in": "query", "required": True, "type": "string"}
        assert paths["/rpc/bound"]["get"]["parameters"] == [{**how, "format": "binding"}]
        assert paths["/rpc/add"]["get"]["parameters"] == [
            {"name": "a", "in": "query", "required": True, "type": "integer", "format": "int32"},
            {"name": "b", "in": "query", "required": True, "type": "integer", "format": "int32"},
        ]
        assert paths["/rpc/sum_all"]["get"]["parameters"] == [
            {
                "name": "numbers",
                "in": "query",
                "required": True,
                "type": "array",
                "collectionFormat": "multi",
                "items": {"type": "integer", "format": "int32"},
            }
        ]

    async def test_follows_privileges(self, rows: httpx.AsyncClient, make_rows: MakeRows):
        document = (await rows.get("/")).json()
        assert "/members_only" not in document["paths"]
        response = await rows.get("/", headers={"Authorization": "rows_member"})
        assert "/members_only" in response.json()["paths"]
        config = replace(CONFIG, openapi_mode=OpenApiMode.IGNORE_PRIVILEGES)
        document = (await (await make_rows(config)).get("/")).json()
        assert "/members_only" in document["paths"]
        assert "/secrets" not in document["paths"]
        (how,) = document["paths"]["/rpc/bound"]["get"]["parameters"]
        assert how["format"] == "library.binding"

    async def test_of_another_schema(self, rows: httpx.AsyncClient):
        response = await rows.get("/", headers={"Accept-Profile": "annex"})
        assert response.json()["definitions"].keys() == {"notes", "shelved"}
        assert response.headers["content-profile"] == "annex"

    async def test_disabled(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, openapi_mode=OpenApiMode.DISABLED))
        response = await rows.get("/")
        assert response.status_code == 404
        assert response.json()["code"] == "PGRST126"

    async def test_proxy_and_security(self, make_rows: MakeRows):
        config = replace(
            CONFIG,
            openapi_server_proxy_uri="https://api.example.com:8443/v1",
            openapi_security_active=True,
        )
        document = (await (await make_rows(config)).get("/")).json()
        assert document["host"] == "api.example.com:8443"
        assert (document["schemes"], document["basePath"]) == (["https"], "/v1")
        assert document["securityDefinitions"]["JWT"]["in"] == "header"
        assert document["security"] == [{"JWT": []}]

    async def test_head_and_accept(self, rows: httpx.AsyncClient):
        response = await rows.head("/")
        assert (response.status_code, response.content) == (200, b"")
        response = await rows.get("/", headers={"Accept": "text/csv"})
        assert (response.status_code, response.json()["code"]) == (406, "PGRST107")

    async def test_root_spec(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, root_spec=QualifiedName("library", "greet")))
        response = await rows.get("/")
        assert (response.status_code, response.json()) == (200, "hello")
        assert (await rows.get("/?name=x")).json() == "hello x"
        assert (await rows.post("/", json={"name": "x"})).json() == "hello x"
