"""Facts about the SQL console."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SqlExecuted:
    """A run has ended. `query` is its beginning; `outcome` is succeeded, failed or cancelled."""

    run_id: UUID
    query: str
    outcome: str
    sqlstate: str | None
    read_only: bool
    dry_run: bool
    milliseconds: int
    by: UUID | None
