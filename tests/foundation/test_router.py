"""Routes are declared by modules and built once, whoever serves them."""

from fastapi.routing import APIRoute

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
