"""The errors of the rows API, in PostgREST's codes, statuses and body.

`RestError` is raised wherever a request turns out to be wrong; `from_postgres` translates what the
database refused. Clients match on these codes, so they never change meaning.
"""

import re
from collections.abc import Iterable
from typing import Any

import orjson

from undercroft.foundation.db import StatementFailed

Headers = list[tuple[bytes, bytes]]
ANSWERABLE = range(200, 1000)  # the statuses an answer can end with in HTTP
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST_REASON = 200


class RestError(Exception):
    """One answer that is not a result.

    `details` may be any JSON value; `members` are told beside it. `reason` is for the status line.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Any = None,
        hint: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.headers = tuple(headers)
        self.members: dict[str, Any] = {}
        self.reason = b""

    def body(self, *, verbose: bool = True) -> bytes:
        """Write the JSON object that clients parse, in alphabetical order as PostgREST does.

        A terse one keeps what could leak out.
        """
        content: dict[str, Any] = {"code": self.code}
        if verbose:
            content |= {"details": self.details, "hint": self.hint}
        return orjson.dumps(content | {"message": self.message} | self.members)

    def response_headers(self) -> Headers:
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"proxy-status", b"PostgREST; error=" + self.code.encode("ascii", "replace")),
            *self.headers,
        ]
        if self.status == 503:
            headers.append((b"retry-after", b"1"))
        return headers


def parse_error(message: str, details: str) -> RestError:
    return RestError(400, "PGRST100", message, details=details)


def invalid_body(message: str) -> RestError:
    return RestError(400, "PGRST102", message)


def range_error(details: str) -> RestError:
    return RestError(416, "PGRST103", "Requested range not satisfiable", details=details)


def out_of_bounds(offset: int, total: int) -> RestError:
    return range_error(f"An offset of {offset} was requested, but there are only {total} rows.")


def unacceptable_schema(schema: str, schemas: Iterable[str]) -> RestError:
    return RestError(
        406,
        "PGRST106",
        f"Invalid schema: {schema}",
        hint=f"Only the following schemas are exposed: {', '.join(schemas)}",
    )


def unacceptable_media_types(media_types: Iterable[str]) -> RestError:
    names = ", ".join(media_types)
    return RestError(406, "PGRST107", f"None of these media types are available: {names}")


def not_embedded(resource: str) -> RestError:
    return RestError(
        400,
        "PGRST108",
        f"'{resource}' is not an embedded resource in this request",
        hint=f"Verify that '{resource}' is included in the 'select' query parameter.",
    )


def only_its_alias(resource: str, alias: str) -> RestError:
    error = not_embedded(resource)
    error.details = "Target names are not allowed in filters if they have an alias"
    error.hint = f"Change '{resource}' to '{alias}' in filters, orders or limits."
    return error


def not_singular(rows: int) -> RestError:
    return RestError(
        406,
        "PGRST116",
        "Cannot coerce the result to a single JSON object",
        details=f"The result contains {rows} rows",
    )


def too_many_affected(rows: int) -> RestError:
    return RestError(
        400,
        "PGRST124",
        "Query result exceeds max-affected preference constraint",
        details=f"The query affects {rows} rows",
    )


def unsupported_method(method: str) -> RestError:
    return RestError(405, "PGRST117", f"Unsupported HTTP method: {method}")


def invalid_path() -> RestError:
    return RestError(404, "PGRST125", "Invalid path specified in request URL")


def column_not_found(table: str, column: str) -> RestError:
    message = f"Could not find the '{column}' column of '{table}' in the schema cache"
    return RestError(400, "PGRST204", message)


def from_postgres(error: StatementFailed, *, anonymous: bool) -> RestError:
    """Translate a refusal by the database; `anonymous` callers are asked to sign in (401)."""
    if error.sqlstate == "PGRST":
        return _raised_response(error)
    status = _status(error, anonymous=anonymous)
    refusal = RestError(
        status,
        error.sqlstate,
        error.message,
        details=error.detail,
        hint=error.hint,
        headers=[(b"www-authenticate", b"Bearer")] if status == 401 else (),
    )
    if error.sqlstate.startswith("PT"):
        refusal.reason = _reason(error.message)
    return refusal


def connection_failed(details: str) -> RestError:
    message = "Database connection error."
    return RestError(503, "PGRST000", message, details=details)


def client_failed(details: str) -> RestError:
    message = "Database client error. Retrying the connection."
    return RestError(503, "PGRST001", message, details=details)


def schema_cache_missing() -> RestError:
    message = "Could not query the database for the schema cache. Retrying."
    return RestError(503, "PGRST002", message)


def pool_timeout() -> RestError:
    message = "Timed out acquiring connection from connection pool."
    return RestError(504, "PGRST003", message)


# By whole SQLSTATE first, then by its class.
_STATUS_BY_STATE = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "22023": 400,
    "53400": 500,
    "57P01": 503,
    "57P02": 503,  # another process of the server crashed
    "P0001": 400,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
}
_STATUS_BY_CLASS = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
}


def _status(error: StatementFailed, *, anonymous: bool) -> int:
    state, message = error.sqlstate, error.message
    if state == "42501":
        return 401 if anonymous else 403
    if state == "21000":  # a guard against unfiltered writes, or a scalar subquery of many rows
        return 400 if message.endswith("requires a WHERE clause") else 500
    if state == "22023" and message.startswith("role ") and message.endswith("does not exist"):
        return 401
    if state == "42883" and message.startswith("function xmlagg("):
        return 406
    if state.startswith("PT"):
        return _custom_status(state)
    return _STATUS_BY_STATE.get(state) or _STATUS_BY_CLASS.get(state[:2], 400)


def _custom_status(state: str) -> int:
    """`raise sqlstate 'PT402'` chooses the status; only what HTTP can carry."""
    number = state[2:]
    is_number = number.isascii() and number.isdigit()
    return int(number) if is_number and int(number) in ANSWERABLE else 500


def _raised_response(error: StatementFailed) -> RestError:
    """Answer `raise sqlstate 'PGRST'`: its message and detail spell out the whole response."""
    message, detail = error.message, error.detail
    content = _json_object(message)
    if content is None or not _describes_error(content):
        return _raise_unreadable(
            f"Invalid JSON value for MESSAGE: '{message}'",
            "MESSAGE must be a JSON object with obligatory keys: 'code', 'message'"
            " and optional keys: 'details', 'hint'.",
        )
    detail_hint = (
        "DETAIL must be a JSON object with obligatory keys: 'status', 'headers'"
        " and optional key: 'status_text'."
    )
    if detail is None:
        return _raise_unreadable("DETAIL is missing in the RAISE statement", detail_hint)
    response = _json_object(detail)
    if response is None or not _describes_response(response):
        return _raise_unreadable(f"Invalid JSON value for DETAIL: '{detail}'", detail_hint)
    refusal = RestError(
        response["status"],
        content["code"],
        content["message"],
        details=content.get("details"),
        hint=content.get("hint"),
        headers=[
            (name.lower().encode(), value.encode()) for name, value in response["headers"].items()
        ],
    )
    refusal.reason = _reason(response.get("status_text") or "")
    return refusal


def _describes_error(content: dict[str, Any]) -> bool:
    must = [content.get("code"), content.get("message")]
    return _are_texts(must) and _may_be_texts(content, "details", "hint")


def _describes_response(response: dict[str, Any]) -> bool:
    status, headers = response.get("status"), response.get("headers")
    if type(status) is not int or status not in ANSWERABLE or not isinstance(headers, dict):
        return False
    return _are_texts(headers.values()) and _may_be_texts(response, "status_text")


def _may_be_texts(content: dict[str, Any], *names: str) -> bool:
    return all(content.get(name) is None or isinstance(content[name], str) for name in names)


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _reason(text: str) -> bytes:
    """Cut as short as clients take a status line to be; the message has all of it."""
    return _CONTROLS.sub(" ", text[:_LONGEST_REASON]).encode("utf-8", "replace")


def _raise_unreadable(details: str, hint: str) -> RestError:
    message = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
    return RestError(500, "PGRST121", message, details=details, hint=hint)


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
