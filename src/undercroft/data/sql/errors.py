"""What can go wrong with a script."""

from collections.abc import Mapping
from typing import Any

from undercroft.foundation.problems import Conflict, Invalid, NotFound, Problem, Unavailable


class SqlFailed(Invalid):
    """Postgres refused a statement; nothing of the script was kept.

    `statement` counts from 0, `position`, `line` and `column` from 1 in the script as it was sent.
    """

    title = "The statement failed"
    detail = "{message}"

    def __init__(self, members: Mapping[str, Any]) -> None:
        super().__init__(**members)


class SqlConflict(Conflict):
    """As `SqlFailed`, for what the rows or other transactions stand in the way of."""

    title = "The statement conflicts with what exists"
    detail = "{message}"

    def __init__(self, members: Mapping[str, Any]) -> None:
        super().__init__(**members)


class SqlSyntax(Invalid):
    """The script cannot be read; nothing of it was run."""

    title = "The script cannot be read"
    detail = "{message}"

    def __init__(self, members: Mapping[str, Any]) -> None:
        super().__init__(**members)


class StatementNotAllowed(Invalid):
    title = "This statement has no place in a script"
    detail = "{reason}"

    def __init__(self, reason: str, statement: int) -> None:
        super().__init__(reason=reason, statement=statement)


class ScriptTooLong(Invalid):
    title = "The script is too long"
    detail = "At most {max_statements} statements and {max_bytes} bytes are accepted."

    def __init__(self, max_statements: int, max_bytes: int) -> None:
        super().__init__(max_statements=max_statements, max_bytes=max_bytes)


class ParametersInvalid(Invalid):
    title = "The parameters do not fit"
    detail = "{reason}"

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


class ResultTooLarge(Problem):
    status = 413
    title = "The result is too large"
    detail = "One answer may not hold more than {max_bytes} bytes; nothing was kept."

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes=max_bytes)


class ConsoleBusy(Unavailable):
    title = "Too many scripts run at once"
    detail = "Wait for another one to finish."


class SnippetNotFound(NotFound):
    title = "No such snippet"
