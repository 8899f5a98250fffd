"""The OpenAPI document: one problem schema, ways to authenticate, an example for every field."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

# For fields whose schema names none; what a word means is the same wherever it stands.
EXAMPLES: Mapping[str, Any] = {
    "bio": "Writes programs for engines that are not built yet.",
    "category": "reports",
    "check": "owner = (select auth.uid())",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "column": "name",
    "credential": {"id": "AQIDBA", "type": "public-key"},
    "code": "kX0c9bq1Yq2cGJYFJm5s0uH6xQpX0aZ1",
    "cursor": "eyJrIjpbIjIwMjYtMTEtMjIiXX0",
    "description": "What it is for.",
    "display_name": "Ada",
    "first_name": "Ada",
    "identifier": "ada@example.com",
    "last_name": "Lovelace",
    "max_members": 25,
    "middle_name": "King",
    "name": "engines",
    "new_password": "Correct-Horse-43",
    "policy": "owners_read",
    "provider": "google",
    "redirect_to": "https://app.example.com/signed-in",
    "refresh_token": "9Zk3c0m9bq1Yq2cGJYFJm5s0uH6xQpX0",
    "resource": "public.engines",
    "search": "ada",
    "table": "engines",
    "token": "Yk2c0m9bq1Yq2cGJYFJm5s0uH6xQpX0a",
    "uniform_number": "00000042",
}
# What the envelope refuses, whatever the route.
REFUSED_AT_THE_GATE = {
    "414": "The query string is too long",
    "431": "The headers are too large",
}
REFUSED_WRITES = {
    "409": "The same Idempotency-Key is in use",
    "413": "The body is too large",
}
# Kinds whose values nobody has to be shown.
PLAIN_FORMATS = frozenset({"uuid", "date", "date-time", "binary"})
SHOWN = ("examples", "example", "default", "enum", "const")


def describe_api(app: FastAPI) -> dict[str, Any]:
    """Make the document once; later calls return the same."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = PROBLEM
        components["securitySchemes"] = SECURITY
        for method, operation in _operations(document):
            for status, why in _refusals(method, operation).items():
                operation["responses"].setdefault(status, _problem(why))
            if not operation["x-permission"].startswith("public"):
                operation["security"] = [{name: []} for name in SECURITY]
            for parameter in operation.get("parameters", ()):
                _show(parameter["name"], parameter["schema"], components["schemas"])
        for schema in components["schemas"].values():
            for name, field in schema.get("properties", {}).items():
                _show(name, field, components["schemas"])
        app.openapi_schema = document
    return app.openapi_schema


def shows_itself(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    """Whether a reader of the document can tell what a value looks like."""
    if "$ref" in field:
        field = schemas[field["$ref"].rpartition("/")[2]]
    if any(name in field for name in SHOWN) or field.get("format") in PLAIN_FORMATS:
        return True
    if field.get("type") in {"boolean", "null"}:
        return True
    if choices := [one for one in field.get("anyOf", ()) if one.get("type") != "null"]:
        return any(shows_itself(one, schemas) for one in choices)
    if field.get("type") == "array":
        return shows_itself(field["items"], schemas)
    parts = field.get("properties", {}).values()
    return bool(parts) and all(shows_itself(part, schemas) for part in parts)


def _show(name: str, field: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    if name in EXAMPLES and not shows_itself(field, schemas):
        field["examples"] = [EXAMPLES[name]]


def _refusals(method: str, operation: Mapping[str, Any]) -> dict[str, str]:
    """What any such operation may answer, by status."""
    found = dict(REFUSED_AT_THE_GATE)
    if method in {"post", "put", "patch", "delete"}:
        found |= REFUSED_WRITES
    if "requestBody" in operation:
        found["415"] = "The body is not of a kind that is read here"
    return found


def _problem(why: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": why, "content": {"application/problem+json": {"schema": schema}}}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for operations in document["paths"].values():
        yield from operations.items()


PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; decide by this."},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "session": {"type": "apiKey", "in": "header", "name": "X-Session-Token"},
    "apikey": {"type": "apiKey", "in": "header", "name": "apikey"},
}
