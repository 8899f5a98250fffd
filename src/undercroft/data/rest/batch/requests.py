"""Writes each step as the request that `/rest/v1` would have been sent for it.

From here on a step is planned, compiled and run like any other request.
"""

import re
import string
from typing import Any
from urllib.parse import quote

from undercroft.data.json_text import Numeral
from undercroft.data.rest import media
from undercroft.data.rest.batch.steps import Step, dump
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.query_string import encoded, quoted_name
from undercroft.data.rest.request import Head, HttpRequest, Resource
from undercroft.data.rest.syntax.filters import array_literal

METHODS = {
    "insert": "POST",
    "upsert": "POST",
    "update": "PATCH",
    "delete": "DELETE",
    "select": "GET",
    "call": "POST",
}
ACTIONS = {
    "insert": "insert",
    "upsert": "insert",
    "update": "update",
    "delete": "delete",
    "select": "read",
    "call": "call",
}
_OPERATOR = re.compile(r"(not\.)?[a-z]+(\((any|all|[\w $]+)\))?")
_ARRAYS = frozenset({"cs", "cd", "ov"})


def write_request(step: Step, around: HttpRequest) -> tuple[HttpRequest, Resource, bytes | None]:
    """The request of a step whose references are resolved, what it names, and its body."""
    name = (step.function if step.op == "call" else step.table) or ""
    kind = "function" if step.op == "call" else "table"
    path = f"/rpc/{name}" if step.op == "call" else f"/{name}"
    headers = {
        "accept": media.JSON,
        "content-type": media.JSON,
        "prefer": ",".join(_preferences(step)),
    }
    head = Head(headers, around.head.headers_json, around.head.cookies_json)
    request = HttpRequest(METHODS[step.op], path, _query(step), head)
    body = dump({} if step.body is None else step.body) if _has_body(step) else None
    return request, Resource(kind, name, ACTIONS[step.op]), body


def _has_body(step: Step) -> bool:
    return step.op not in ("delete", "select")


def _preferences(step: Step) -> list[str]:
    wanted = [f"return={step.returning}"]
    resolution = step.resolution or ("merge-duplicates" if step.op == "upsert" else None)
    if resolution:
        wanted.append(f"resolution={resolution}")
    if step.max_affected is not None:
        wanted += ["handling=strict", f"max-affected={step.max_affected}"]
    return wanted


def _query(step: Step) -> bytes:
    pairs: list[tuple[str, str]] = []
    if step.select is not None:
        pairs.append(("select", step.select))
    if step.order is not None:
        pairs.append(("order", step.order))
    pairs += [
        (word, str(number))
        for word, number in (("limit", step.limit), ("offset", step.offset))
        if number is not None
    ]
    if step.on_conflict:
        pairs.append(("on_conflict", ",".join(quoted_name(name) for name in step.on_conflict)))
    if isinstance(step.where, dict):
        pairs += [(quoted_name(name), _filter(name, value)) for name, value in _filters(step.where)]
    parts = [f"{encoded(key)}={encoded(value)}" for key, value in pairs]
    if isinstance(step.where, str) and step.where:
        parts.append(quote(step.where, safe=string.printable))
    return "&".join(parts).encode("latin-1")


def _filters(where: dict[str, Any]) -> list[tuple[str, Any]]:
    """One pair for each comparison: `{"n": {"gte": 1, "lt": 5}}` makes two."""
    pairs: list[tuple[str, Any]] = []
    for name, value in where.items():
        if isinstance(value, dict):
            if not value:
                raise _bad_filter(name, "it compares with nothing")
            pairs += [(name, {operator: operand}) for operator, operand in value.items()]
        else:
            pairs.append((name, value))
    return pairs


def _filter(name: str, value: Any) -> str:
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise _bad_filter(name, 'a list needs an operator, {"in": […]}')
        return "is.null" if value is None else f"eq.{_text(value)}"
    ((operator, operand),) = value.items()
    if not _OPERATOR.fullmatch(operator):
        raise _bad_filter(name, f"'{operator}' is no operator")
    bare = operator.removeprefix("not.")
    if bare == "in":
        if not isinstance(operand, list):
            raise _bad_filter(name, "`in` takes a list")
        return f"{operator}.({','.join(_item(item) for item in operand)})"
    if isinstance(operand, list) and (bare in _ARRAYS or bare.endswith((")", "}"))):
        return f"{operator}.{array_literal([_text(item) for item in operand])}"
    return f"{operator}.{'null' if operand is None else _text(operand)}"


def _item(value: Any) -> str:
    return '"' + _text(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Numeral() | str():
            return str(value)
    return dump(value).decode()


def _bad_filter(name: str, what: str) -> RestError:
    return RestError(400, "UCB101", f"where.{name}: {what}.")
