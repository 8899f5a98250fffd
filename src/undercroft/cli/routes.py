"""`undercroft routes`: every route of the control plane and who may call it."""

import json
from typing import Annotated, Any

import typer

from undercroft.cli.options import JsonOption

# Nothing is connected to: the application is only built, and only to be read.
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def list_routes(
    search: Annotated[
        str | None, typer.Argument(help="Only those whose path, name or rule holds this text.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="GET, POST …")] = None,
    as_json: JsonOption = False,
) -> None:
    """Every route with the permission it asks for.

    Example: `undercroft routes users --method GET`. Exits with 1 when nothing matches.
    """
    found = [route for route in _routes() if _matches(route, search, method)]
    if as_json:
        print(json.dumps(found))
    else:
        for route in found:
            print(f"{route['method']:<7} {route['path']:<58} {route['access']}")
    if not found:
        raise typer.Exit(1)


def _matches(route: dict[str, str], search: str | None, method: str | None) -> bool:
    if method and route["method"] != method.upper():
        return False
    return search is None or any(search.lower() in text.lower() for text in route.values())


def _routes() -> list[dict[str, str]]:
    from fastapi.routing import iter_route_contexts
    from pydantic import SecretStr

    from undercroft.app import create_app
    from undercroft.foundation.http.router import described, guard_of
    from undercroft.foundation.settings import load_settings

    settings = load_settings()
    database = settings.database.model_copy(update={"url": SecretStr(NOWHERE)})
    cache = settings.cache.model_copy(update={"url": SecretStr("redis://127.0.0.1:1")})
    quiet = settings.observability.model_copy(update={"sentry_dsn": None, "otlp_endpoint": None})
    update: dict[str, Any] = {"database": database, "cache": cache, "observability": quiet}
    update["secret_key"] = settings.secret_key or SecretStr("x" * 32)
    app = create_app(settings.model_copy(update=update))
    return [
        {
            "method": method,
            "path": str(route.path),
            "name": str(route.operation_id),
            "access": described(guard.access),
        }
        for route in iter_route_contexts(app.control.routes)
        if route.endpoint and (guard := guard_of(route.endpoint))
        for method in sorted(route.methods or ())
    ]
