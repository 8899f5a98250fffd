"""Results as bytes, JSON values as Postgres wrote them."""

from typing import Any
from uuid import UUID

import orjson
from fastapi import Response

from undercroft.data.sql.console import Outcome, Result


def run_answer(run_id: UUID, outcome: Outcome, *, committed: bool) -> Response:
    return _json(
        {
            "id": run_id,
            "committed": committed,
            "results": [_result(one) for one in outcome.results],
            "notices": outcome.notices,
            "milliseconds": outcome.milliseconds,
        }
    )


def plan_answer(outcome: Outcome, *, as_json: bool) -> Response:
    """A JSON plan is one row; a text plan one row a line."""
    rows = outcome.results[0].rows
    plan = rows[0][0] if as_json else "\n".join(row[0] for row in rows)
    return _json({"plan": plan, "milliseconds": outcome.milliseconds})


def _result(result: Result) -> dict[str, Any]:
    return {
        "statement": result.statement,
        "columns": result.columns,
        "rows": result.rows,
        "row_count": len(result.rows),
        "truncated": result.truncated,
        "command": result.command,
        "affected_rows": result.affected_rows,
        "milliseconds": result.milliseconds,
    }


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
