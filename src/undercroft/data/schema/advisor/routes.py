"""`/advisor`: HTTP in and out."""

from collections import Counter
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel

from undercroft.data.schema.advisor.findings import Severity
from undercroft.data.schema.advisor.service import advise
from undercroft.data.tables.errors import SchemaNotFound
from undercroft.data.tables.queries import check_schema
from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.http import Router, Session

Word = Literal["info", "warning", "error"]
PERMISSIONS = (
    Permission("advisor:read", "See what is open, slow or about to break in your schemas."),
)

router = Router("/advisor", tag="data")


class FindingRead(BaseModel):
    """`code` never changes meaning. `fix` is SQL that makes the finding go away."""

    code: str
    severity: Word
    object: str
    sentence: str
    fix: str


class Advice(BaseModel):
    findings: list[FindingRead]
    counts: dict[Word, int]


@router.get("", access=Needs("advisor:read"), problems=(SchemaNotFound,))
async def get_advice(
    session: Session,
    schema: Annotated[
        str | None, Query(max_length=63, description="Default: all of your schemas.")
    ] = None,
    least: Annotated[
        Word, Query(alias="severity", description="Nothing below this severity.")
    ] = "info",
) -> Advice:
    """What is open, slow or about to break, the worst first, each with the SQL that mends it."""
    if schema is not None:
        await check_schema(session, schema)
    found = await advise(session, schema)
    counts = Counter(one.severity.word for one in found)
    shown = [one for one in found if one.severity >= Severity[least.upper()]]
    return Advice(
        findings=[
            FindingRead.model_validate(one._asdict() | {"severity": one.severity.word})
            for one in shown
        ],
        counts={"error": counts["error"], "warning": counts["warning"], "info": counts["info"]},
    )
