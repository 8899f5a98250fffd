"""One line of the doctor's report."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do; empty when all is well."""

    name: str
    level: Level
    found: str
    advice: str = ""


def finding(name: str, found: object, *, fine: bool, advice: str, fatal: bool = False) -> Finding:
    """OK when `fine`; otherwise a warning, or a failure when nothing works without it."""
    if fine:
        return Finding(name, Level.OK, str(found))
    return Finding(name, Level.FAIL if fatal else Level.WARN, str(found), advice)
