"""Looks settings up by name: in the database first, then the environment, then the file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from undercroft.data.rest.standalone.config_file import read_config_file
from undercroft.data.rest.standalone.settings import InvalidSettingError, Sources
from undercroft.data.schema.model import QualifiedName

_TRUE = {"true", "yes", "on", "t"}
_FALSE = {"false", "no", "off", "f"}
_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
_ALIASES = {
    "db_schemas": "db_schema",
    "db_max_rows": "max_rows",
    "db_pool_max_idletime": "db_pool_timeout",
    "db_pre_request": "pre_request",
    "db_root_spec": "root_spec",
    "jwt_role_claim_key": "role_claim_key",
    "jwt_secret_is_base64": "secret_is_base64",
}
_PREFIX = "PGRST_"
_APP = "app.settings."
_APP_PREFIX = "PGRST_APP_SETTINGS_"


class Options:
    """The settings as they were written. What cannot be read as what it should be is not set."""

    def __init__(self, sources: Sources, database: Mapping[str, str]) -> None:
        environ = sources.environ
        path = sources.config_file
        self._file = {} if path is None else read_config_file(path, environ)
        self._environ = environ
        self._layers: Sequence[Mapping[str, str]] = (
            database,
            {
                name.removeprefix(_PREFIX).lower(): value
                for name, value in environ.items()
                if name.startswith(_PREFIX)
            },
            {name.replace("-", "_"): value for name, value in self._file.items()},
        )

    def raw(self, name: str) -> str | None:
        return next((layer[name] for layer in self._layers if name in layer), None)

    def text(self, name: str) -> str | None:
        found = self.raw(name)
        if not found and name in _ALIASES:
            found = self.raw(_ALIASES[name])
        return found or None

    def listed(self, name: str) -> tuple[str, ...]:
        return split(self.text(name) or "")

    def flag(self, name: str, *, default: bool = False) -> bool:
        text = (self.text(name) or "").lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        return int(text) > 0 if _NUMBER.fullmatch(text) else default

    def number(self, name: str, *, most: int | None = None) -> int | None:
        """Read what is counted or a port, neither of which can be below 0."""
        text = self.text(name)
        if not text or not _NUMBER.fullmatch(text):
            return None
        found = int(text)
        if found < 0 or (most is not None and found > most):
            bounds = "cannot be below 0" if most is None else f"must be between 0 and {most}"
            raise InvalidSettingError(f"{name.replace('_', '-')} {bounds}")
        return found

    def choice(self, name: str, choices: Sequence[str], default: str, refusal: str) -> str:
        text = self.text(name) or default
        if text not in choices:
            raise InvalidSettingError(f"{refusal}. Check your configuration.")
        return text

    def qualified_name(self, name: str) -> QualifiedName | None:
        """Read `schema.name`; without a schema the search path decides."""
        text = self.text(name)
        if text is None:
            return None
        schema, _, own = text.rpartition(".")
        return QualifiedName(schema, own)

    def app_settings(self) -> tuple[tuple[str, str], ...]:
        found = {name: value for name, value in self._file.items() if name.startswith(_APP)}
        found |= {
            _APP + name.removeprefix(_APP_PREFIX): value
            for name, value in self._environ.items()
            if name.startswith(_APP_PREFIX)
        }
        return tuple(sorted(found.items()))


def split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def from_file(text: str) -> str:
    """Follow `@path` to the content of a file, without its last line break."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8").rstrip("\n")
    except OSError as error:
        raise InvalidSettingError(f"Cannot read {text[1:]}: {error.strerror}") from error
