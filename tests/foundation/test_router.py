"""Routes are declared by modules and built once, whoever serves them; HEAD goes by those of GET."""

import httpx
from fastapi.routing import APIRoute

from tests.data.sql_support import run
from tests.data.tables_support import create
from tests.fixtures.actors import Caller
from tests.fixtures.routes import entries
from undercroft.app import Application
from undercroft.foundation.access import Public
from undercroft.foundation.http import Router


class TestRouter:
    def test_routes_are_built_once_for_each_prefix(self):
        router = Router("/things", tag="things")

        @router.get("/{thing}", access=Public("a test"))
        async def get_thing(thing: str) -> str:
            return thing

        (route,) = router.routes("/api")
        assert isinstance(route, APIRoute)
        assert route.path == "/api/things/{thing}"
        assert route.operation_id == "get_thing"
        assert router.routes("/api")[0] is route
        (other,) = router.routes()
        assert isinstance(other, APIRoute)
        assert other.path == "/things/{thing}"


class TestHead:
    async def test_of_every_route_is_its_get_without_content(
        self, app: Application, client: httpx.AsyncClient
    ):
        for entry in entries(app):
            if entry.method != "GET":
                continue
            path = entry.at()
            got, head = await client.get(path), await client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers.get("content-type") == got.headers.get("content-type"), path

    async def test_goes_through_the_door(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller
    ):
        assert (await client.head("/api/v1/users")).status_code == 401
        assert (await member.request("HEAD", "/api/v1/users")).status_code == 403
        head, got = await admin.request("HEAD", "/api/v1/users"), await admin.get("/api/v1/users")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(got.content))

    async def test_of_a_stream_ends_it(self, admin: Caller):
        table = await create(admin, {"name": "a", "type": "int"})
        await run(admin, f"insert into {table} select * from generate_series(1, 100000)")
        for _ in range(8):  # more than may run at once
            head = await admin.request("HEAD", f"/api/v1/tables/{table}/export")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"].startswith("text/csv")

    async def test_stands_among_the_methods_of_a_path(self, client: httpx.AsyncClient):
        refused = await client.request("PROPFIND", "/api/v1/users")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
        refused = await client.head("/api/v1/auth/login")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
