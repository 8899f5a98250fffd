"""What every route declares, so that none can be added without."""

from collections.abc import Iterator
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction
from typing import Any

from tests.fixtures.routes import entries, routes_of
from undercroft.app import Application
from undercroft.foundation.access import Needs, names
from undercroft.foundation.http.router import Door


def test_there_are_routes(app: Application):
    assert len(routes_of(app)) > 60


def test_all_are_doors(app: Application):
    for route in routes_of(app):
        assert isinstance(route.original_route, Door), route.path


def test_dependencies_do_not_go_through_a_thread(app: Application):
    """The framework runs plain functions in its thread pool: two switches per request for each."""
    for entry in entries(app):
        for call in entry.dependencies():
            function = call if isfunction(call) else type(call).__call__
            is_async = iscoroutinefunction(function) or isasyncgenfunction(function)
            assert is_async, f"{entry.path}: make {call} async"


def test_operation_ids_are_unique(app: Application):
    ids = [entry.name for entry in entries(app)]
    assert len(ids) == len(set(ids))
    assert all(route.operation_id for route in routes_of(app))


def test_every_operation_says_what_it_needs(app: Application):
    document = app.control.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["x-permission"], (method, path)
            assert operation["operationId"], (method, path)
            assert operation.get("description") or operation.get("summary"), (method, path)


def test_needed_permissions_are_declared_with_a_sentence(app: Application):
    needed = {entry.rule.name for entry in entries(app) if isinstance(entry.rule, Needs)}
    assert needed <= names(app.permissions), needed - names(app.permissions)
    assert all(permission.sentence.endswith(".") for permission in app.permissions)
    assert len(names(app.permissions)) == len(app.permissions)


def lax_values(schema: Any, owner: str = "") -> Iterator[str]:
    """The models below one of pydantic's schemas where a number takes `true`, or `true` "yes"."""
    if isinstance(schema, dict):
        if schema.get("type") == "model":
            owner = schema["cls"].__name__
        if schema.get("type") in ("int", "float", "bool") and not schema.get("strict"):
            yield owner
        schema = [value for key, value in schema.items() if key != "serialization"]
    if isinstance(schema, list | tuple):
        for inner in schema:
            yield from lax_values(inner, owner)


def test_numbers_and_booleans_in_bodies_are_strict(app: Application):
    """`StrictInt`, `StrictFloat`, `StrictBool`: to Python `true` is a number."""
    bodies = [route.body_field for route in routes_of(app) if route.body_field]
    assert bodies
    for body in bodies:
        assert not list(lax_values(body._type_adapter.core_schema)), body
