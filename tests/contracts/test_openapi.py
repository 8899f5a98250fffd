"""The OpenAPI document is true: what it allows is served, and nothing else comes back.

Requests are made up from the document by schemathesis, valid and invalid ones, and sent by callers
who may do nothing, something and everything. They run on a database of their own, since some of
them succeed.
"""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fixtures.actors import Caller, promoted, register, sign_in
from tests.fixtures.app import BASE, SUPERUSER, make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import Application, create_app
from undercroft.foundation.http.openapi import shows_itself
from undercroft.foundation.settings import Settings

API = "/api/v1"
# Valid and as many invalid requests per operation, every second one to something that is there. So
# few keep this under a minute; raise them to look deeper.
CASES = {"anonymous": 1, "member": 2, "superuser": 2}
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
# What proxies and servers use; the framework answers before any route of ours.
MAY_BE_AWAY = {"/health", "/health/ready", "/metrics"}
ENDS_THE_CALLER = re.compile(r"logout|deactivate|delete-account|reauthenticate|refresh|change-")


@dataclass
class Place:
    """One application with things in it whose ids fill the paths of half of the requests."""

    app: Application
    client: httpx.AsyncClient
    known: dict[str, str]
    schema: Any

    async def caller(self, kind: str) -> dict[str, str]:
        """Headers of somebody fresh: an earlier request may have signed the last one out."""
        if kind == "anonymous":
            return {}
        caller = await register(self.client, kind)
        if kind == "superuser":
            await promoted(await sign_in(self.client, SUPERUSER), caller, "super_admin")
        return {"Authorization": f"Bearer {caller.tokens['access_token']}"}


async def furnish(client: httpx.AsyncClient) -> dict[str, str]:
    root = await sign_in(client, SUPERUSER)
    person = await register(client, "somebody")
    made = {
        "organization_id": await _make(root, "organizations", {"name": "Engines"}),
        "group_id": await _make(root, "groups", {"codename": "crew", "name": "Crew"}),
        "permission_id": await _make(
            root, "permissions", {"codename": "engines:start", "name": "Start engines"}
        ),
        "feature_id": await _make(root, "features", {"name": "steam"}),
        "key_id": await _make(root, "api-keys", {"name": "key", "permissions": []}),
    }
    columns = [{"name": "id", "type": "bigint", "primary_key": True, "identity": True}]
    await root.post(f"{API}/tables", json={"name": "things", "columns": columns})
    return made | {"user_id": person.id, "table": "things", "provider": "google"}


async def _make(root: Caller, path: str, body: dict[str, Any]) -> str:
    answer = await root.post(f"{API}/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture(scope="module")
def own_settings(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    return make_settings(engines, make_database())


@pytest_asyncio.fixture(scope="module")
async def place(own_settings: Settings) -> AsyncIterator[Place]:
    async with running(create_app(own_settings)) as app, make_client(app) as client:
        document = (await client.get(f"{API}/openapi.json")).json()
        schema = schemathesis.openapi.from_dict(document)
        yield Place(app, client, await furnish(client), schema)


# Making them up costs more than sending them: callers who are tested in one process share them.
_made_up: dict[tuple[str, GenerationMode], list[Case]] = {}


def made_up(operation: Any, mode: GenerationMode, count: int) -> list[Case]:
    key = (operation.label, mode)
    if key not in _made_up:
        _made_up[key] = generated(operation, mode, max(CASES.values()))
    return _made_up[key][:count]


def generated(operation: Any, mode: GenerationMode, count: int) -> list[Case]:
    found: list[Case] = []

    @hypothesis_settings(
        max_examples=count,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Case) -> None:
        found.append(case)

    try:
        collect()
    except Unsatisfiable:  # nothing invalid can be sent there
        return []
    return found


def cases_of(place: Place, operation: Any, count: int) -> Iterator[Case]:
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        for number, case in enumerate(made_up(operation, mode, count)):
            if number % 2:
                known = {k: v for k, v in place.known.items() if k in case.path_parameters}
                case.path_parameters.update(known)
            yield case


async def send(place: Place, case: Case, headers: dict[str, str]) -> httpx.Response:
    options = case.as_transport_kwargs(base_url=BASE)
    options["headers"].pop("Accept-Encoding", None)
    prepared = requests.Request(**options).prepare()
    sent = {name: value for name, value in prepared.headers.items() if value is not None}
    body = prepared.body
    if isinstance(body, str):
        body = body.encode()
    return await place.client.request(
        case.method, str(prepared.url), headers=sent | headers, content=body
    )


def complaint(case: Case, answer: httpx.Response) -> str | None:
    try:
        case.validate_response(Response.from_any(answer), checks=CHECKS)
    except FailureGroup as failures:
        sentences = "; ".join(f"{f.title}: {f.message[:300]}" for f in failures.exceptions)
        return f"{case.method} {case.path} {answer.status_code}: {sentences}\n{answer.text[:300]}"
    if answer.status_code >= 500 and case.path not in MAY_BE_AWAY:
        return f"{case.method} {case.path} {answer.status_code}: {case.body!r} {case.query}"
    return None


def test_every_operation_is_named_explained_and_guarded(app: Application):
    document = app.control.openapi()
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert operation["x-permission"], operation["operationId"]
        assert operation.get("description") or operation.get("summary"), operation["operationId"]


def test_every_field_that_is_sent_to_identity_has_an_example(app: Application):
    document = app.control.openapi()
    schemas = document["components"]["schemas"]
    silent = [
        (operation["operationId"], name)
        for path in document["paths"].values()
        for operation in path.values()
        if operation["tags"] == ["identity"]
        for name, field in sent(operation, schemas)
        if not shows_itself(field, schemas)
    ]
    assert not silent, "Give these Field(examples=[…])"


def sent(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for parameter in operation.get("parameters", ()):
        yield parameter["name"], parameter["schema"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "example" not in content:
            schema = content["schema"]
            choices = schema.get("anyOf", [schema])
            name = choices[0].get("$ref", "").rpartition("/")[2]
            yield from schemas.get(name, {}).get("properties", {}).items()


def test_lists_have_room_beside_their_items(app: Application):
    """`items`, `next_cursor`, `total`: what a bare array could never be given later."""
    document = app.control.openapi()
    bare = [
        path
        for path, methods in document["paths"].items()
        if "get" in methods
        for content in methods["get"]["responses"].get("200", {}).get("content", {}).values()
        if content.get("schema", {}).get("type") == "array"
    ]
    assert bare == []


@pytest.mark.parametrize("kind", ["anonymous", "member", "superuser"])
async def test_every_answer_is_documented(place: Place, kind: str):
    complaints: dict[str, str] = {}
    headers = await place.caller(kind)
    for result in place.schema.get_all_operations():
        operation = result.ok()
        if ENDS_THE_CALLER.search(operation.path):
            headers = await place.caller(kind)
        for case in cases_of(place, operation, CASES[kind]):
            answer = await send(place, case, headers)
            if found := complaint(case, answer):
                complaints.setdefault(f"{operation.label} {answer.status_code}", found)
    assert not complaints, "\n\n".join(complaints.values())
