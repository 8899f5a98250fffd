"""What each table holds about people. Every wing declares its own (`wing.py`)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PersonalData:
    """A table that refers to accounts: what people may take along, and what erasure does to it.

    `export` selects one JSON object a row, shown under `name`; `erase` deletes or scrubs. Both are
    SQL over `:id`, the account's, and `:addresses`, all that it is named by. Rows that stay need
    `kept_because`.
    """

    table: str
    name: str | None = None
    export: str | None = None
    erase: str | None = None
    kept_because: str | None = None

    def __post_init__(self) -> None:
        if (self.erase is None) == (self.kept_because is None):
            raise ValueError(f"{self.table}: either `erase` or `kept_because`")
        if (self.name is None) != (self.export is None):
            raise ValueError(f"{self.table}: `name` and `export` go together")
