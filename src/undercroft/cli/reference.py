"""Every setting in words: what `.env.example` and docs/reference/settings.md are made of."""

import json
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from undercroft.foundation.apps import App
from undercroft.foundation.settings import Settings
from undercroft.foundation.settings.known_names import KNOWN_NAMES

INTRODUCTION = "Generated from the code by `undercroft settings reference --write`."
PREFIX = "UNDERCROFT_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the reference.

    `path` is as the code says it (`auth.password.min_length`), `default` as the environment does.
    """

    path: str
    kind: str
    default: str | None
    description: str

    @property
    def group(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        return PREFIX + self.path.upper().replace(".", "__")

    @property
    def known_as(self) -> list[str]:
        return [name for name, path in KNOWN_NAMES.items() if path == self.path]


def every_setting(model: type[BaseModel] = Settings, path: str = "") -> Iterator[Setting]:
    """A group's own settings first, then those of the groups inside it."""
    groups: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            groups.append((f"{path}{name}.", inner))
        else:
            default = None if field.is_required() else as_text(field.get_default())
            yield Setting(f"{path}{name}", _kind(field), default, field.description or "")
    for prefix, inner in groups:
        yield from every_setting(inner, prefix)


def as_text(value: object) -> str | None:
    """A value as it is written in the environment."""
    if value is None:
        return None
    writers = (write for kind, write in _WRITERS if isinstance(value, kind))
    return str(next(writers, str)(value))


_WRITERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (SecretStr, lambda _: "********"),
    (timedelta, lambda value: f"{value.total_seconds():g}"),
    (bool, lambda value: str(value).lower()),
    (Enum, lambda value: value.value),
    (tuple, lambda value: json.dumps(list(value))),
)


def env_example() -> str:
    """Every setting, commented out at its default."""
    lines = [f"# {INTRODUCTION}", "# Remove the # of what you change.", ""]
    group = None
    for setting in every_setting():
        if setting.group != group:
            group = setting.group
            lines += ["", f"# --- {group or 'general'} ---"]
        name = (setting.known_as or [setting.name])[0]
        lines += [f"# {text}" for text in (_sentence(setting),) if text]
        lines.append(f"#{name}={setting.default or ''}")
    return "\n".join(lines) + "\n"


def settings_of_apps(apps: Iterable[App]) -> Iterator[Setting]:
    """Those of apps that have a group, under the app's name."""
    for app in apps:
        if app.settings:
            yield from every_setting(app.settings, f"{app.name}.")


def settings_page(apps: Iterable[App] = ()) -> str:
    """The reference page, a table per group."""
    lines = ["# Settings", "", INTRODUCTION, ""]
    lines += [
        "Settings are read from the environment and from `.env` in the working directory. Times",
        "are seconds or ISO 8601 (`PT15M`), sizes bytes or with a unit (`15MB`), lists JSON.",
    ]
    group = None
    for setting in (*every_setting(), *settings_of_apps(apps)):
        if setting.group != group:
            group = setting.group
            heading = f"## {group or 'General'}"
            lines += ["", heading, "", "| Variable | Default | Meaning |", "| --- | --- | --- |"]
        names = " or ".join(f"`{name}`" for name in (*setting.known_as, setting.name))
        default = f"`{setting.default}`" if setting.default else ""
        lines.append(f"| {names} | {default} | {_sentence(setting)} |")
    return "\n".join(lines) + "\n"


def permissions_page() -> str:
    """Every permission with its sentence, and the groups that hold it from the start."""
    from undercroft.identity.access.catalogue import (
        DEFAULTS,
        EARLIER,
        SYSTEM_GROUPS,
        every_permission,
    )
    from undercroft.wings import PERMISSIONS

    lines = ["# Permissions and groups", "", INTRODUCTION, ""]
    lines += ["| Group | Meaning |", "| --- | --- |"]
    lines += [f"| `{codename}` | {meaning} |" for codename, meaning in SYSTEM_GROUPS.items()]
    lines += [
        "",
        "`super_admin` and `admin` hold every permission of the platform. Those that no route of",
        "ours asks for are there for apps and policies: `(select auth.has('contents:publish'))`.",
        "",
        "| Permission | Meaning | Also in | Earlier names |",
        "| --- | --- | --- | --- |",
    ]
    for name, sentence in sorted(every_permission(PERMISSIONS).items()):
        groups = ", ".join(f"`{group}`" for group, held in DEFAULTS.items() if name in held)
        earlier = ", ".join(f"`{old}`" for old, new in EARLIER.items() if new == name)
        lines.append(f"| `{name}` | {sentence} | {groups} | {earlier} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """What is generated, by its place in the repository."""
    return {
        Path(".env.example"): env_example(),
        Path("docs/reference/settings.md"): settings_page(),
        Path("docs/reference/permissions.md"): permissions_page(),
    }


def _sentence(setting: Setting) -> str:
    kind = f"{setting.kind}." if setting.kind else ""
    return f"{setting.description} {kind}".strip().replace("|", "\\|")


def _kind(field: FieldInfo) -> str:
    """What may be written, when the default does not say it."""
    annotation = field.annotation
    if get_origin(annotation) in {Union, types.UnionType}:
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        return "One of " + ", ".join(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "One of " + ", ".join(str(member.value) for member in annotation)
    known: dict[Any, str] = {timedelta: "Seconds", ByteSize: "Bytes", SecretStr: "Secret"}
    return known.get(annotation, "")
