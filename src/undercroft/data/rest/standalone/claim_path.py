"""Paths into the claims of a token: `.role`, `.roles[0]`, `."https://x/y".role`, with filters.

A leading `$`, as newer configurations have it, means the same as none.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from undercroft.data.rest.standalone.environment import InvalidSettingError

_KEY = re.compile(r'\.(?:([\w$@]+)|"([^"]*)")')
_INDEX = re.compile(r"\[(\d+)\]")
_FILTER = re.compile(r'\[\?\(@ *(==|!=|\^==|==\^|\*==) *"([^"]*)"\)\]')
_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "==": lambda item, text: item == text,
    "!=": lambda item, text: item != text,
    "^==": lambda item, text: item.startswith(text),
    "==^": lambda item, text: item.endswith(text),
    "*==": lambda item, text: text in item,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """The first text of an array that compares as asked."""

    operator: str
    text: str


Step = str | int | Filter


def parse_claim_path(text: str) -> tuple[Step, ...]:
    """Read a path, or raise InvalidSettingError."""
    steps: list[Step] = []
    position = 1 if text.startswith("$") else 0
    while position < len(text):
        if key := _KEY.match(text, position):
            steps.append(key[1] if key[1] is not None else key[2])
            position = key.end()
        elif steps and (index := _INDEX.match(text, position)):
            steps.append(int(index[1]))
            position = index.end()
        elif steps and (found := _FILTER.match(text, position)):
            steps.append(Filter(found[1], found[2]))
            position = found.end()
        else:
            raise InvalidSettingError(f"PGRST_JWT_ROLE_CLAIM_KEY is not a path: {text!r}")
    return tuple(steps)


def find_claim(claims: Any, path: Sequence[Step]) -> Any:
    """Follow a path; None when it leads nowhere."""
    value = claims
    for step in path:
        value = _follow(value, step)
    return value


def _follow(value: Any, step: Step) -> Any:
    match step:
        case str():
            return value.get(step) if isinstance(value, dict) else None
        case int():
            inside = isinstance(value, list) and step < len(value)
            return value[step] if inside else None
        case Filter():
            texts = (
                [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
            )
            matches = _MATCHES[step.operator]
            return next((item for item in texts if matches(item, step.text)), None)
