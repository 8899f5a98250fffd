"""Reads the body of a batch into steps, refusing whatever can be refused before anything runs."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from undercroft.data import json_text
from undercroft.data.rest.batch.errors import malformed, step_error
from undercroft.data.rest.errors import RestError

MOST_STEPS = 1000
REF = "$ref"
Op = Literal["insert", "upsert", "update", "delete", "select", "call"]
Columns = Annotated[list[Annotated[str, Field(min_length=1, max_length=63)]], Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=63)]


class Step(BaseModel):
    """One entry of a batch. `where` as an object compares columns, as a text it is a query."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

    op: Op
    table: Name | None = None
    function: Name | None = None
    schema_name: Name | None = Field(None, alias="schema")
    body: Any = None
    where: dict[str, Any] | str | None = None
    ref: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)] | None = None
    select: Annotated[str, Field(max_length=10_000)] | None = None
    order: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[StrictInt, Field(ge=0, le=2**31)] | None = None
    offset: Annotated[StrictInt, Field(ge=0, le=2**31)] | None = None
    on_conflict: Columns | None = None
    resolution: Literal["merge-duplicates", "ignore-duplicates"] | None = None
    returning: Literal["representation", "minimal"] = Field("representation", alias="return")
    max_affected: Annotated[StrictInt, Field(ge=0, le=2**31)] | None = None

    def wrong(self) -> str | None:
        """What does not go together, if anything."""
        target = "function" if self.op == "call" else "table"
        takes_body = self.op in ("insert", "upsert", "update")
        takes_where = self.op in ("update", "delete", "select")
        rules = (
            (getattr(self, target) is None, f"needs `{target}`."),
            (takes_body and not isinstance(self.body, dict | list), "needs a `body` of rows."),
            (self.op == "update" and isinstance(self.body, list), "takes one object."),
            (self.op in ("delete", "select") and self.body is not None, "takes no `body`."),
            (
                self.op in ("update", "delete") and self.where is None,
                "needs `where`; an empty object means all rows.",
            ),
            (not takes_where and self.where is not None, "takes no `where`."),
        )
        return next((f"`{self.op}` {sentence}" for broken, sentence in rules if broken), None)


def read_steps(raw: bytes) -> list[Step]:
    """Read and check all steps. Raises RestError naming the step that is wrong."""
    found = _parse(raw)
    if not isinstance(found, list) or not found:
        raise malformed("The body must be an array of steps.")
    if len(found) > MOST_STEPS:
        raise malformed(f"A batch has at most {MOST_STEPS} steps.")
    steps = [_step(item, number) for number, item in enumerate(found)]
    _check_names(steps)
    if f'"{REF}"'.encode() in raw:
        _check_references(steps)
    return steps


def dump(value: Any) -> bytes:
    """JSON of a value that came from `read_steps`."""
    try:
        return json_text.dumps(value)
    except (TypeError, RecursionError) as error:
        raise malformed("A value is nested too deeply or is not text.") from error


def references(value: Any) -> Iterator[str]:
    """Every reference inside a value."""
    match value:
        case {"$ref": str(path), **rest} if not rest:
            yield path
        case dict():
            for inner in value.values():
                yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)


def _parse(raw: bytes) -> Any:
    try:
        return json_text.loads(raw)
    except (ValueError, RecursionError) as error:
        raise malformed("Empty or invalid json") from error


def _step(item: Any, number: int) -> Step:
    try:
        step = Step.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "step"
        raise _invalid(f"{place}: {first['msg']}", number) from error
    except RecursionError as error:
        raise malformed("A value is nested too deeply.") from error
    if wrong := step.wrong():
        raise _invalid(wrong, number, step.ref)
    return step


def _check_names(steps: list[Step]) -> None:
    given: set[str] = set()
    for number, step in enumerate(steps):
        if step.ref in given:
            raise _invalid(f"The ref '{step.ref}' is given twice.", number, step.ref)
        if step.ref:
            given.add(step.ref)


def _check_references(steps: list[Step]) -> None:
    known: dict[str, Step] = {}
    for number, step in enumerate(steps):
        try:
            wanted = {
                path.partition(".")[0]
                for value in (step.body, step.where)
                for path in references(value)
            }
        except RecursionError as error:
            raise malformed("A value is nested too deeply.") from error
        for name in sorted(wanted):
            if name not in known:
                raise _invalid(f"No earlier step has the ref '{name}'.", number, step.ref)
            known[name].returning = "representation"
        if step.ref:
            known[step.ref] = step


def _invalid(message: str, number: int, ref: str | None = None) -> RestError:
    return step_error(RestError(400, "UCB101", message), number, ref)
