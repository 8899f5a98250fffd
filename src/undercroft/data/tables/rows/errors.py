"""What can go wrong with a row."""

from collections.abc import Sequence

from undercroft.foundation.problems import Conflict, Forbidden, Invalid, NotFound


class RowNotFound(NotFound):
    title = "No such row"
    detail = "No row has this key, or none that you may see."


class RowKeyInvalid(Invalid):
    title = "The key does not fit the table"
    detail = "The primary key consists of: {key}."

    def __init__(self, key: Sequence[str]) -> None:
        super().__init__(key=", ".join(key))


class NoPrimaryKey(Conflict):
    title = "The table has no primary key"
    detail = "Without one no single row can be named."


class RowsRefused(Invalid):
    title = "Postgres refused the row or the filter"
    detail = "{reason}"

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(sqlstate=code, reason=reason)


class RowsForbidden(Forbidden):
    """`hint` says what would allow it, where that is known."""

    title = "No policy allows this"
    detail = "{reason}"

    def __init__(self, code: str, reason: str, hint: str | None = None) -> None:
        super().__init__(sqlstate=code, reason=reason, hint=hint)


class RowsConflict(Conflict):
    title = "Another row is in the way"
    detail = "{reason}"

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(sqlstate=code, reason=reason)


class SchemaNotServed(NotFound):
    title = "The schema is not served"
    detail = "/rest/v1 serves: {schemas}."

    def __init__(self, schemas: Sequence[str]) -> None:
        super().__init__(schemas=", ".join(schemas))
