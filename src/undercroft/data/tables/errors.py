"""What can go wrong with a table."""

from undercroft.foundation.problems import Conflict, Forbidden, Invalid, NotFound


class TableNotFound(NotFound):
    title = "No such table"

    def __init__(self, table: str) -> None:
        super().__init__(table=table)


class SchemaNotFound(NotFound):
    title = "No such schema"

    def __init__(self, schema: str) -> None:
        super().__init__(schema=schema)


class TableExists(Conflict):
    title = "The table exists already"
    detail = "There is a table '{table}'."

    def __init__(self, table: str) -> None:
        super().__init__(table=table)


class NameTaken(Conflict):
    """Of a column, index, constraint or policy."""

    title = "The name is taken"
    detail = "There is something called '{name}' already."

    def __init__(self, name: str) -> None:
        super().__init__(name=name)


class TableBusy(Conflict):
    title = "The table is busy"
    detail = "Somebody else is working on it. Nothing was changed; try again."


class ColumnNotFound(NotFound):
    title = "No such column"
    detail = "There is no column '{column}'."

    def __init__(self, column: str) -> None:
        super().__init__(column=column)


class PolicyNotFound(NotFound):
    title = "No such policy"
    detail = "There is no policy '{policy}' on this table."

    def __init__(self, policy: str) -> None:
        super().__init__(policy=policy)


class IndexNotFound(NotFound):
    title = "No such index"
    detail = "There is no index '{index}' on this table."

    def __init__(self, index: str) -> None:
        super().__init__(index=index)


class ConstraintNotFound(NotFound):
    title = "No such constraint"
    detail = "There is no constraint '{constraint}' on this table."

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint=constraint)


class StatementRefused(Invalid):
    """Postgres did not accept what was asked for. Only those who may define tables see this.

    `hint` and `details` are Postgres' own, where they are there and name no values of rows.
    """

    title = "Postgres refused the statement"
    detail = "{reason}"

    def __init__(
        self, sqlstate: str, reason: str, *, hint: str | None = None, details: str | None = None
    ) -> None:
        super().__init__(sqlstate=sqlstate, reason=reason)
        told = {"hint": hint, "details": details}
        self.members |= {name: said for name, said in told.items() if said is not None}


class TemplateUnfit(Invalid):
    """A policy template was given a column of a type that it cannot compare."""

    title = "The template does not fit the column"
    detail = "Column '{column}' has type {type}; the template needs uuid or text."

    def __init__(self, column: str, kind: str) -> None:
        super().__init__(column=column, type=kind)


class NoTableToFill(NotFound):
    """Whoever may import sees that the table is missing, and what to do."""

    title = "No such table"
    detail = "There is no table '{table}' to fill. Make it first (POST /tables)."

    def __init__(self, table: str) -> None:
        super().__init__(table=table)


class ImportRefused(Invalid):
    """`line` counts from 1 and includes the header; nothing of the file was kept."""

    title = "The file was not imported"
    detail = "Line {line}: {reason}"

    def __init__(self, line: int | None, reason: str, column: str | None = None) -> None:
        super().__init__(line=line, reason=reason, column=column)


class ImportsBusy(Conflict):
    title = "Too many imports at once"
    detail = "Wait for another import to finish."


class ExportsBusy(Conflict):
    title = "Too many exports at once"
    detail = "Wait for another export to finish."


class PolicyOfPlatform(Forbidden):
    title = "The policy is the platform's own"
    detail = "'{policy}' keeps the platform's own rows closed and stays as it is."

    def __init__(self, policy: str) -> None:
        super().__init__(policy=policy)


class PolicyReadsItself(Invalid):
    title = "The policies of the table would read the table itself"
    detail = (
        "To decide about a row of '{table}' its policies would have to read '{table}', directly or"
        " through the policies of another table, and every request would fail. Read those rows in"
        " a SECURITY DEFINER function that the policy calls, or use a policy template."
    )

    def __init__(self, table: str) -> None:
        super().__init__(table=table)


class TypeOfYours(Invalid):
    """Reading a literal of such a type may run code, here with the platform's rights."""

    title = "The type cannot be used here"
    detail = "Policies of '{table}' take built-in types, not {type}."

    def __init__(self, table: str, kind: str) -> None:
        super().__init__(table=table, type=kind)
