"""Problems and framework errors as `application/problem+json` (RFC 9457), in the caller's language.

The cause of a failure goes to the log under the request id; the caller gets the id.
"""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Scope

from undercroft.foundation.context import current_request, request_id
from undercroft.foundation.db.failures import is_away, sql_error, told
from undercroft.foundation.http.validation import RequestInvalid
from undercroft.foundation.languages import negotiate, translate_problem
from undercroft.foundation.problems import (
    PROBLEM_TYPE,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unavailable,
)
from undercroft.foundation.telemetry import report

log = structlog.get_logger()


class InternalError(Problem):
    title = "Something went wrong here"
    detail = "The failure is logged under this request's id."


class StatementTimeout(Unavailable):
    title = "The database took too long"
    detail = "The request was given up; nothing was changed."


class TextNotStorable(Invalid):
    title = "The text cannot be stored"
    detail = "It holds a NUL character or half of a surrogate pair."


class NameTooLong(Invalid):
    title = "The name is too long"
    detail = (
        "Names in the database have at most 63 bytes, letters outside ASCII count more than one."
    )


BY_STATE: Mapping[str | None, type[Problem]] = {
    "57014": StatementTimeout,
    # Two transactions waited for each other, or saw different pasts: the caller may try again.
    "40P01": Unavailable,
    "40001": Unavailable,
    "42622": NameTooLong,
}
# "character not in repertoire", "untranslatable character": what Postgres does not store as text.
UNSTORABLE = ("22021", "22P05")


def render(
    problem: Problem, accept_language: str | None = None, preferred: str | None = None
) -> Response:
    """`preferred` is the language of the caller's settings."""
    if request := current_request():
        request.problem = problem.code
    language = negotiate(accept_language, preferred)
    words = translate_problem(problem, language)
    body: dict[str, Any] = {
        "type": f"/problems/{problem.code.replace('_', '-')}",
        "title": words.title,
        "status": problem.status,
        "code": problem.code,
        "detail": words.detail,
        "instance": f"/requests/{request_id()}",
        **problem.members,
    }
    if isinstance(problem, RequestInvalid):
        body["errors"] = problem.lines(language)
    elif words.errors:
        body["errors"] = words.errors
    headers = {"Content-Language": language, "Cache-Control": "no-store"} | problem.headers
    content = orjson.dumps(body, default=str)
    return Response(content, problem.status, headers, PROBLEM_TYPE)


def problem_for(error: BaseException) -> Problem:
    """The problem that stands for any exception; unforeseen ones become a 500, never a 400."""
    if isinstance(error, Problem):
        return error
    if is_away(error):
        return Unavailable()
    if known := BY_STATE.get(getattr(sql_error(error), "sqlstate", None)):
        return known()
    if _is_unstorable(error):
        return TextNotStorable()
    return InternalError()


def _is_unstorable(error: BaseException) -> bool:
    cause = sql_error(error)
    if isinstance(cause, asyncpg.InvalidTextRepresentationError):
        return "type json" in str(cause)  # half a surrogate pair, escaped
    if getattr(cause, "sqlstate", None) in UNSTORABLE:
        return True
    # The driver refuses what UTF-8 cannot encode before it is sent.
    inner: BaseException | None = cause
    while inner and not isinstance(inner, UnicodeEncodeError):
        inner = inner.__cause__ or inner.__context__
    return inner is not None


def log_failure(problem: Problem, error: BaseException) -> None:
    if problem.status >= 500:
        log.error("request_failed", **{"code": problem.code} | told(error))
        report(error)


def add_problem_handlers(app: FastAPI) -> None:
    """Make every refusal of `app` a problem, unforeseen exceptions included."""

    async def on_problem(request: Request, error: Exception) -> Response:
        problem = problem_for(error)
        log_failure(problem, error)
        return _answer(request, problem)

    async def on_unforeseen(request: Request, error: Exception) -> Response:
        # The framework raises it again once this is sent: `Envelope` logs it.
        return _answer(request, problem_for(error))

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _answer(request, RequestInvalid(error.errors()))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        problem = _from_http(error)
        if isinstance(problem, MethodNotAllowed):
            problem.headers = {"Allow": _allowed(request)}
        return _answer(request, problem)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(DBAPIError, on_problem)
    app.add_exception_handler(PoolTimeout, on_problem)
    app.add_exception_handler(OSError, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    # Without it the framework answers in plain text before `Envelope` hears of the failure.
    app.add_exception_handler(Exception, on_unforeseen)


def _allowed(request: Request) -> str:
    """The methods of all routes of the path; the framework names those of the first."""
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _answer(request: Request, problem: Problem) -> Response:
    return render(problem, request.headers.get("accept-language"), language_of(request.scope))


def language_of(scope: Scope) -> str | None:
    """The language of the caller's settings, once the door knows who calls."""
    return getattr(scope.get("state", {}).get("actor"), "language", None)


def _from_http(error: HTTPException) -> Problem:
    if isinstance(error.__cause__, Problem):  # the framework read the body and wrapped our refusal
        return error.__cause__
    families: Mapping[int, type[Problem]] = {404: NotFound, 405: MethodNotAllowed}
    kind = families.get(error.status_code, Invalid if error.status_code < 500 else InternalError)
    return kind(headers=error.headers)
