"""Making tables by HTTP."""

from typing import Any

from tests.fixtures.actors import Caller, unique

TABLES = "/api/v1/tables"


async def create(admin: Caller, *columns: dict[str, Any], name: str | None = None) -> str:
    name = name or unique("t")
    body = {"name": name, "columns": list(columns) or [{"name": "id", "type": "serial"}]}
    response = await admin.post(TABLES, json=body)
    assert response.status_code == 201, response.text
    return name
