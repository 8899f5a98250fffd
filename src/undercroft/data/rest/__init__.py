"""The rows API in PostgREST's language: request → plan → query → response.

It serves the exposed schemas of any PostgreSQL database over plain ASGI and knows nothing of
accounts: `RestApp` is given a function that says who calls.
"""

from undercroft.data.rest.answers import AnswerStore
from undercroft.data.rest.app import Authenticate, RestApp
from undercroft.data.rest.batch import Batch
from undercroft.data.rest.config import OpenApiMode, RestConfig, TransactionEnd
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.execute import Executor
from undercroft.data.rest.pool import Pool
from undercroft.data.rest.recipes import Caller

__all__ = [
    "AnswerStore",
    "Authenticate",
    "Batch",
    "Caller",
    "Executor",
    "OpenApiMode",
    "Pool",
    "RestApp",
    "RestConfig",
    "RestError",
    "TransactionEnd",
]
