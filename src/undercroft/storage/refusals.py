"""What Postgres refused, as the problem that a caller understands."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError

from undercroft.foundation.db import StatementFailed
from undercroft.foundation.problems import Problem
from undercroft.storage.errors import (
    BucketNotFound,
    FileExists,
    FileRefused,
    LimitsChanged,
    QuotaExceeded,
    RefusedByDatabase,
    UploadExpired,
)

PROBLEMS: dict[str, type[Problem]] = {
    "UCS04": BucketNotFound,
    "UCS10": UploadExpired,
    "UCS13": QuotaExceeded,
    "23503": BucketNotFound,
    "23505": FileExists,
    "42501": FileRefused,
}
OTHER_LIMITS = "UCS14"
Said = asyncpg.PostgresError | StatementFailed
# Values that a policy or a customer's trigger cannot take, or does not want.
CUSTOMERS_OWN = ("22", "23", "P0001", "44")


@contextmanager
def refusals() -> Iterator[None]:
    """Turn errors of our SQL functions into problems or `LimitsChanged`; the rest passes."""
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError, StatementFailed) as error:
        cause = _cause(error)
        if cause is not None and cause.sqlstate == OTHER_LIMITS:
            raise LimitsChanged from error
        problem = _problem(cause)
        if problem is None:
            raise
        raise problem from error


def _problem(error: Said | None) -> Problem | None:
    state = (error.sqlstate if error else None) or ""
    if state in PROBLEMS:
        return PROBLEMS[state]()
    if state.startswith(CUSTOMERS_OWN):
        return RefusedByDatabase()
    return None


def _cause(error: BaseException) -> Said | None:
    if isinstance(error, DBAPIError):
        found = error.orig.__cause__ if error.orig else None
        return found if isinstance(found, asyncpg.PostgresError) else None
    return error if isinstance(error, Said) else None
