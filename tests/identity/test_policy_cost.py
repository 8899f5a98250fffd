"""What policies ask about the caller is asked once a statement, however many rows there are."""

import json

from tests.fixtures.actors import Caller
from tests.fixtures.policies import PolicyCaller, claims_of


async def test_has_is_asked_once_a_statement(as_caller: PolicyCaller, member: Caller):
    plan = await as_caller(
        claims_of(member),
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM generate_series(1, 10000)"
        " WHERE (SELECT auth.has('uploads:create')) AND (SELECT auth.feature('none')) IS NOT NULL",
    )
    found = [node for node in _nodes(plan) if node.get("Parent Relationship") == "InitPlan"]
    assert len(found) == 2
    assert {node["Actual Loops"] for node in found} == {1}


def _nodes(plan: str) -> list[dict[str, object]]:
    def walk(node: dict[str, object]) -> list[dict[str, object]]:
        return [node, *(one for child in node.get("Plans", []) for one in walk(child))]

    return walk(json.loads(plan)[0]["Plan"])
