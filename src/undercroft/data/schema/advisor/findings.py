"""One thing the advisor found."""

from enum import IntEnum
from typing import NamedTuple


class Severity(IntEnum):
    """Info: worth knowing. Warning: slow, or risky. Error: open, or failing."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        return self.name.lower()


class Finding(NamedTuple):
    """`code` never changes meaning; `fix` is SQL that makes the finding go away."""

    code: str
    severity: Severity
    object: str
    sentence: str
    fix: str


class Rule(NamedTuple):
    """A code, how bad it is, and what it means in general."""

    code: str
    severity: Severity
    meaning: str
