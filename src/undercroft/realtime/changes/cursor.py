"""A place in the log of changes, as clients and consumers keep it."""

import re
from dataclasses import dataclass
from typing import Self

_TEXT = re.compile(r"([0-9a-f]{8})-([0-9a-f]{16})-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """Just after change `index` of the transaction that committed at `lsn`.

    `epoch` counts the replication slots there have been: what happened between two of them is
    unknown. The text sorts as the cursors do.
    """

    epoch: int
    lsn: int = 0
    index: int = 0

    def __str__(self) -> str:
        return f"{self.epoch:08x}-{self.lsn:016x}-{self.index:08x}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor, None for a text that is none."""
        found = _TEXT.fullmatch(text)
        return cls(*(int(part, 16) for part in found.groups())) if found else None
