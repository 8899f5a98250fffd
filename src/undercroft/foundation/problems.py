"""Everything that can go wrong for a caller, as RFC 9457 problems.

A domain declares its own in `errors.py`, one class per problem, under the families below. Status,
code and title belong to the class; what differs from case to case is passed to the constructor
and fills the `detail` sentence. The code (`bucket_not_empty`) never changes meaning.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - a problem is what the RFC calls it
    """One kind of refusal. `detail` is a `str.format` template over the extra members."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "problem"
    title: ClassVar[str] = "Something went wrong"
    detail: ClassVar[str] = ""
    # For problems with `{reason}` in their detail: a sentence by reason code, filled in likewise.
    reasons: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(self.sentence())

    def sentence(
        self, template: str | None = None, reasons: Mapping[str, str] | None = None
    ) -> str:
        """The detail with its members filled in; the arguments are translations of it."""
        members = dict(self.members)
        if self.reasons:
            members["reason"] = self.reason(members["reason_code"], reasons)
        return (template or self.detail).format_map(members)

    def reason(self, code: str, reasons: Mapping[str, str] | None = None) -> str:
        return {**self.reasons, **(reasons or {})}[code].format_map(self.members)

    @classmethod
    def every(cls) -> Iterator[type["Problem"]]:
        """All declared problems below this one."""
        for kind in cls.__subclasses__():
            yield kind
            yield from kind.every()


class Invalid(Problem):
    status = 422
    code = "invalid"
    title = "The request is not valid"


class Unauthorized(Problem):
    status = 401
    code = "unauthorized"
    title = "Sign in first"
    detail = "This needs a valid token or API key."

    def __init__(self, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        challenge = {"WWW-Authenticate": f'Bearer error="{self.code}"'}
        super().__init__(headers=challenge | dict(headers or {}), **members)


class Forbidden(Problem):
    status = 403
    code = "forbidden"
    title = "Not allowed"
    detail = "You may see this but not do this."


class NotFound(Problem):
    status = 404
    code = "not_found"
    title = "Not found"
    detail = "There is nothing here, or nothing that you may see."


class Conflict(Problem):
    status = 409
    code = "conflict"
    title = "This conflicts with what exists"


class TooManyRequests(Problem):
    status = 429
    code = "too_many_requests"
    title = "Too many requests"
    detail = "Try again in {retry_after} seconds."

    def __init__(self, retry_after: int, *, limit: int, **members: Any) -> None:
        """`limit` is how many were allowed."""
        headers = {
            "Retry-After": str(retry_after),
            "RateLimit-Limit": str(limit),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(retry_after),
        }
        super().__init__(headers=headers, retry_after=retry_after, **members)


class Unavailable(Problem):
    status = 503
    code = "unavailable"
    title = "Not available right now"
    detail = "A part of the server does not answer. Try again in a moment."

    def __init__(self, **members: Any) -> None:
        super().__init__(headers={"Retry-After": "1"}, **members)


class MissingPermission(Forbidden):
    detail = "This needs the permission '{permission}'."

    def __init__(self, permission: str) -> None:
        super().__init__(permission=permission)


class BodyTooLarge(Problem):
    status = 413
    title = "The body is too large"
    detail = "At most {max_bytes} bytes are accepted here."

    def __init__(self, max_bytes: int) -> None:
        # The rest of the body is not read, so the connection cannot carry another request.
        super().__init__(headers={"Connection": "close"}, max_bytes=max_bytes)


class HeadersTooLarge(Problem):
    status = 431
    title = "The headers are too large"
    detail = "At most {max_bytes} bytes of headers are accepted."

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes=max_bytes)


class QueryTooLong(Problem):
    status = 414
    title = "The query string is too long"
    detail = "At most {max_bytes} bytes are accepted."

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes=max_bytes)


class UnsupportedMediaType(Problem):
    status = 415
    title = "This kind of body is not accepted here"
    detail = "Send {accepted}."

    def __init__(self, accepted: str) -> None:
        super().__init__(accepted=accepted)


class MethodNotAllowed(Problem):
    status = 405
    title = "This path does not take that method"


class IdempotencyKeyInUse(Conflict):
    title = "The same request is still running"
    detail = "A request with this Idempotency-Key has not finished yet."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class IdempotencyKeyReused(Invalid):
    title = "The Idempotency-Key belongs to another request"
    detail = "Use a new key for a different request."


class ClientGone(Problem):
    status = 400
    title = "The request ended early"
    detail = "The connection closed before the whole body arrived."


class SettingsInvalid(Exception):  # noqa: N818
    """A setting is wrong or missing; the text says which one and what to do. Ends the process."""
