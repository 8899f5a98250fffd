"""What a failure of the database means, and what of it is worth a log line."""

from socket import gaierror
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Postgres says these while it starts, stops, recovers or is full.
AWAY = ("57P01", "57P02", "57P03", "57P05", "53100", "53300", "08")
# What the driver says of a connection that was lost; its other complaints are about our own code.
GONE = ("connection is closed", "connection was closed", "has been released", "pool is clos")
# What it says where Postgres said goodbye to a connection that nobody was using.
LEFT = "another operation (2) is in progress"
# What using a connection of the driver raises when it or the statement failed.
DRIVER_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# Whose own words say all: where in our code it happened does not matter.
PLAIN = (
    PoolTimeout,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
    TimeoutError,
    gaierror,
)


def sql_error(error: BaseException) -> BaseException:
    """The driver's exception below SQLAlchemy's."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "__cause__", None) or original or error


def is_away(error: BaseException) -> bool:
    """Whether this failure means that an engine does not answer."""
    if isinstance(error, PoolTimeout | OSError | TimeoutError):
        return True
    cause = sql_error(error)
    if isinstance(cause, asyncpg.InterfaceError):
        return any(words in str(cause) for words in GONE)
    if isinstance(cause, asyncpg.InternalClientError):
        return LEFT in str(cause)
    if isinstance(cause, OSError | TimeoutError):
        return True
    state = getattr(cause, "sqlstate", None) or ""
    return state.startswith(AWAY)


def told(error: BaseException) -> dict[str, Any]:
    """For `log.exception`: of a database that is away its own words, else the traceback.

    While it restarts every process hits it, and a page of traceback each would hide the reason.
    """
    cause = error if isinstance(error, PoolTimeout) else sql_error(error)
    if is_away(error) and (isinstance(cause, PLAIN) or _is_no_socket(cause)):
        words = f"{type(cause).__name__}: {cause}".strip(": \n").partition("\n")[0]
        return {"cause": words, "exc_info": False}
    return {"exc_info": error}


def _is_no_socket(cause: BaseException) -> bool:
    """Who looks for a file says which; who connects to a socket that is not there does not."""
    return isinstance(cause, FileNotFoundError) and bool(cause.errno) and cause.filename is None
