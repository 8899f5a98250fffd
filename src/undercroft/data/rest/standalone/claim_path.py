"""Paths into the claims of a token: `.role`, `.roles[0]`, `."https://x/y".role`, with filters.

A leading `$` makes it a JSON Path (RFC 9535) as newer configurations have it, of which names,
places, slices and filters by one comparison, `search` or `match` are understood.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from undercroft.data.rest.standalone.settings import InvalidSettingError

_KEY = re.compile(r'\.(?:([\w$@]+)|"([^"]*)")')
_NAME = re.compile(r"""\[(?:"([^"]*)"|'([^']*)')\]""")
_INDEX = re.compile(r"\[(-?\d+)\]", re.ASCII)
_SLICE = re.compile(r"\[(-?\d+)?:(-?\d+)?\]", re.ASCII)
_FILTER = re.compile(r'\[\?\(?@ *(==|!=|\^==|==\^|\*==) *(?:"([^"]*)"|\'([^\']*)\')\)?\]')
_FUNCTION = re.compile(r"""\[\?(search|match)\(@, *(?:"([^"]*)"|'([^']*)')\)\]""")
_NOWHERE = object()  # which null is not
_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "==": lambda item, text: item == text,
    "!=": lambda item, text: item != text,
    "^==": lambda item, text: item.startswith(text),
    "==^": lambda item, text: item.endswith(text),
    "*==": lambda item, text: text in item,
    "search": lambda item, text: re.search(text, item) is not None,
    "match": lambda item, text: re.fullmatch(text, item) is not None,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """The first text of an array that compares as asked."""

    operator: str
    text: str


Step = str | int | slice | Filter


def parse_claim_path(text: str) -> tuple[Step, ...]:
    """Read a path, or raise InvalidSettingError."""
    steps: list[Step] = []
    position = 1 if text.startswith("$") else 0
    while position < len(text):
        found = _read_step(text, position, first=not steps)
        if found is None:
            raise InvalidSettingError(f"failed to parse role-claim-key value ({text})")
        step, position = found
        steps.append(step)
    return tuple(steps)


def _read_step(text: str, position: int, *, first: bool) -> tuple[Step, int] | None:
    bare = first and not text.startswith("$")
    for pattern, read in _STEPS[:1] if bare else _STEPS:
        if found := pattern.match(text, position):
            return read(found), found.end()
    return None


def _read_filter(found: re.Match[str]) -> Filter:
    text = _quoted(found, 2)
    if found[1] in ("search", "match"):
        try:
            re.compile(text)
        except re.error as error:
            raise InvalidSettingError(f"failed to parse role-claim-key value ({text})") from error
    return Filter(found[1], text)


def _quoted(found: re.Match[str], group: int) -> str:
    """Take what stands between one kind of quotes or the other."""
    text: str = found[group] if found[group] is not None else found[group + 1]
    return text


def _read_slice(found: re.Match[str]) -> slice:
    return slice(*(None if end is None else int(end) for end in found.groups()))


_STEPS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Step]], ...] = (
    (_KEY, lambda found: _quoted(found, 1)),
    (_NAME, lambda found: _quoted(found, 1)),
    (_INDEX, lambda found: int(found[1])),
    (_SLICE, _read_slice),
    (_FILTER, _read_filter),
    (_FUNCTION, _read_filter),
)


def find_claim(claims: Any, path: Sequence[Step]) -> str | None:
    """Follow a path to a text, or what JSON writes of another value; None when it leads nowhere."""
    value = claims
    for step in path:
        value = _follow(value, step)
    if value is _NOWHERE:
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _follow(value: Any, step: Step) -> Any:
    match step:
        case str():
            return value.get(step, _NOWHERE) if isinstance(value, dict) else _NOWHERE
        case int():
            inside = isinstance(value, list) and -len(value) <= step < len(value)
            return value[step] if inside else _NOWHERE
        case slice():
            return _cut(value, step)
        case Filter():
            texts = (
                [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
            )
            matches = _MATCHES[step.operator]
            return next((item for item in texts if matches(item, step.text)), _NOWHERE)


def _cut(value: Any, part: slice) -> Any:
    """Cut a text, or take the first of a part of an array; nothing left is nothing found."""
    if isinstance(value, str):
        return value[part] or _NOWHERE
    return next(iter(value[part]), _NOWHERE) if isinstance(value, list) else _NOWHERE


def show_claim_path(path: Sequence[Step]) -> str:
    """Write a path the way PostgREST shows its configuration."""
    return "".join(_show(step) for step in path)


def _show(step: Step) -> str:
    match step:
        case str():
            return f'."{step}"'
        case int():
            return f"[{step}]"
        case slice():
            start, stop = ("" if end is None else str(end) for end in (step.start, step.stop))
            return f"[{start}:{stop}]"
        case Filter("search" | "match" as name, text):
            return f'[?{name}(@, "{text}")]'
        case Filter(operator, text):
            return f'[?(@ {operator} "{text}")]'
