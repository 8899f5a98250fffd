"""What can go wrong with following tables."""

from undercroft.foundation.problems import Conflict


class TableNotWatchable(Conflict):
    title = "The table cannot be watched"
    detail = "{table} is locked, unlogged or somebody else's."

    def __init__(self, table: str) -> None:
        super().__init__(table=table)
