"""Names in the environment and `.env` that look like settings and that nothing reads.

Mostly slips of the pen, which would otherwise be silent: the setting keeps its default.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import get_origin

from dotenv import dotenv_values
from pydantic import BaseModel

from undercroft.foundation.settings.known_names import KNOWN_NAMES
from undercroft.foundation.settings.root import Settings

PREFIX = "UNDERCROFT_"
# Read by the command line itself.
OF_COMMANDS = frozenset({"UNDERCROFT_URL", "UNDERCROFT_KEY"})
# The environment is full of other programs' names, so those without our prefix must be very near
# and long enough for that to mean something: MODEL is no slip for MODE.
NEAR, VERY_NEAR, SHORTEST = 0.6, 0.86, 8


@dataclass(frozen=True, slots=True)
class Unread:
    """`nearest` is what was probably meant."""

    name: str
    nearest: str | None

    def __str__(self) -> str:
        meant = f": did you mean {self.nearest}?" if self.nearest else "."
        return f"{self.name} is not a setting{meant}"


def given_names() -> set[str]:
    """Every name in the environment and in `.env`, in upper case."""
    return {name.upper() for name in (*os.environ, *dotenv_values(".env"))}


def unread_names(
    given: Iterable[str], apps: Mapping[str, type[BaseModel] | None] | None = None
) -> list[Unread]:
    """What nothing reads of the names `given`; `apps` are the groups of those switched on."""
    exact, open_ended = _read_names(apps or {})
    given = set(given)
    found = []
    for name in sorted(given - exact):
        if name.startswith(PREFIX) and not name.startswith(tuple(open_ended)):
            found.append(Unread(name, _nearest_of_ours(name, exact)))
        elif (near := _nearest_known(name)) and near not in given:
            found.append(Unread(name, near))
    return found


def _read_names(apps: Mapping[str, type[BaseModel] | None]) -> tuple[set[str], list[str]]:
    """(names that are read, beginnings of names whose rest is free)."""
    fields = list(_fields(Settings, PREFIX))
    for app, group in apps.items():
        if group:
            fields += _fields(group, f"{PREFIX}{app.upper()}__")
    exact = {name for name, _ in fields} | set(KNOWN_NAMES) | OF_COMMANDS
    exact |= {f"{PREFIX}{app.upper()}" for app in apps}
    return exact, [f"{name}__" for name, is_open in fields if is_open]


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, bool]]:
    """Each name below `prefix`, groups too (they take JSON), and whether people name its parts."""
    for name, field in model.model_fields.items():
        full, inner = f"{prefix}{name.upper()}", field.annotation
        yield full, get_origin(inner) is dict
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _fields(inner, f"{full}__")


def _nearest_of_ours(name: str, among: Iterable[str]) -> str | None:
    """By what follows the prefix, which is the same in all of them."""
    rest = {one.removeprefix(PREFIX): one for one in among}
    near = _nearest(name.removeprefix(PREFIX), rest, NEAR)
    return rest[near] if near else None


def _nearest_known(name: str) -> str | None:
    return _nearest(name, KNOWN_NAMES, VERY_NEAR) if len(name) >= SHORTEST else None


def _nearest(name: str, among: Iterable[str], cutoff: float) -> str | None:
    return next(iter(get_close_matches(name, list(among), n=1, cutoff=cutoff)), None)
