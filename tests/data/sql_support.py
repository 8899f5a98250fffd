"""Talking to the SQL console."""

from typing import Any

from tests.fixtures.actors import Caller

SQL = "/api/v1/sql"


async def run(caller: Caller, query: str, *params: Any, **options: Any) -> dict[str, Any]:
    response = await caller.post(f"{SQL}/query", json={"query": query, "params": params, **options})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def refused(caller: Caller, query: str, status: int = 422, **options: Any) -> dict[str, Any]:
    response = await caller.post(f"{SQL}/query", json={"query": query, **options})
    assert response.status_code == status, response.text
    return dict(response.json())


async def value(caller: Caller, query: str, *params: Any, **options: Any) -> Any:
    """The only value of the last statement."""
    return (await run(caller, query, *params, **options))["results"][-1]["rows"][0][0]
