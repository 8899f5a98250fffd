"""Requests and answers of the storage plane, and refusals in the words that its clients parse."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope

from undercroft.foundation.problems import BodyTooLarge, ClientGone, Problem, Unauthorized
from undercroft.storage.callers import Caller
from undercroft.storage.errors import (
    BucketNameInvalid,
    BucketNotFound,
    FileExists,
    FileNameInvalid,
    FileNotFound,
    FileRefused,
    FileTooLarge,
    FileTypeRefused,
    QuotaExceeded,
    StorageFull,
)

Headers = list[tuple[bytes, bytes]]
Model = TypeVar("Model", bound=BaseModel)
LONGEST_JSON = 1_000_000


class Refusal(Exception):  # noqa: N818 - as `Problem` is none either
    """A refusal that only this protocol knows."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        error: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.error = error or code
        self.message = message
        self.headers = headers or []


def invalid(message: str) -> Refusal:
    return Refusal(400, "InvalidRequest", message)


# What a problem is called here: status, error, code, message.
WORDS: dict[type[Problem], tuple[int, str, str, str]] = {
    FileNotFound: (404, "not_found", "NoSuchKey", "Object not found"),
    BucketNotFound: (404, "Bucket not found", "NoSuchBucket", "Bucket not found"),
    FileNameInvalid: (400, "InvalidKey", "InvalidKey", "Invalid key: {detail}"),
    BucketNameInvalid: (400, "Invalid Input", "InvalidBucketName", "Bucket name invalid"),
    FileExists: (409, "Duplicate", "KeyAlreadyExists", "The resource already exists"),
    FileTooLarge: (
        413,
        "Payload too large",
        "EntityTooLarge",
        "The object exceeded the maximum allowed size",
    ),
    BodyTooLarge: (413, "Payload too large", "EntityTooLarge", "The body is too large"),
    FileTypeRefused: (
        415,
        "invalid_mime_type",
        "InvalidMimeType",
        "mime type {media_type} is not supported",
    ),
    QuotaExceeded: (413, "Quota exceeded", "QuotaExceeded", "The organization's quota is used up"),
    StorageFull: (507, "Insufficient storage", "InsufficientStorage", "The storage is full"),
    FileRefused: (
        403,
        "Unauthorized",
        "AccessDenied",
        "new row violates row-level security policy",
    ),
}


@dataclass(slots=True)
class Answer:
    """`length` of a streamed body must be what it holds."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    headers: Headers = field(default_factory=list)
    length: int | None = None


@dataclass(slots=True)
class Request:
    """`path` are the decoded segments below the plane's prefix."""

    method: str
    path: list[str]
    query: dict[str, str]
    headers: Mapping[str, str]
    receive: Receive
    identify: Callable[[Mapping[str, str]], Awaitable[Caller]]
    _body: bytes | None = None

    async def caller(self) -> Caller:
        """Who calls. Raises `Unauthorized` for nobody."""
        return await self.identify(self.headers)

    @property
    def content_length(self) -> int | None:
        given = self.headers.get("content-length", "")
        return int(given) if given.isdecimal() and len(given) < 20 else None

    def is_on(self, header: str) -> bool:
        return self.headers.get(header, "").lower() == "true"

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `ClientGone` when it ends early."""
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if chunk := message.get("body", b""):
                yield chunk
            if not message.get("more_body", False):
                return

    async def body(self) -> bytes:
        """All of a small body, as often as it is asked for. Raises `BodyTooLarge`."""
        if self._body is None:
            body = bytearray()
            async for chunk in self.stream():
                body += chunk
                if len(body) > LONGEST_JSON:
                    raise BodyTooLarge(LONGEST_JSON)
            self._body = bytes(body)
        return self._body

    async def json(self, model: type[Model]) -> Model:
        """The body as `model`. Raises a `Refusal` that names what is wrong."""
        body = await self.body()
        try:
            return model.model_validate(orjson.loads(body) if body else {})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise invalid(f"{place}: {first['msg']}" if place else first["msg"]) from error
        except orjson.JSONDecodeError as error:
            raise invalid("The body is not JSON") from error


def read_request(
    scope: Scope,
    receive: Receive,
    prefix: str,
    identify: Callable[[Mapping[str, str]], Awaitable[Caller]],
) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    given = scope["query_string"]
    query = dict(parse_qsl(given.decode("latin-1"), keep_blank_values=True)) if given else {}
    path = scope["path"][len(prefix) :].split("/")[1:]
    return Request(scope["method"], path, query, headers, receive, identify)


def answer_json(content: Any, status: int = 200, headers: Headers | None = None) -> Answer:
    body = orjson.dumps(content, default=str)
    return Answer(status, body, [(b"content-type", b"application/json"), *(headers or [])])


def answer_problem(problem: Problem) -> Answer:
    """A problem as this protocol's clients read it."""
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    words = WORDS.get(type(problem))
    if words is None:
        error = "Unauthorized" if isinstance(problem, Unauthorized) else problem.title
        refusal = Refusal(problem.status, problem.code, str(problem) or problem.title, error=error)
    else:
        status, error, code, message = words
        filled = message.format(detail=problem.detail, **problem.members)
        refusal = Refusal(status, code, filled, error=error)
    refusal.headers = headers
    return answer_refusal(refusal)


def answer_refusal(refusal: Refusal) -> Answer:
    body = {
        "statusCode": str(refusal.status),
        "error": refusal.error,
        "message": refusal.message,
        "code": refusal.code,
    }
    return answer_json(body, refusal.status, [(b"cache-control", b"no-store"), *refusal.headers])
