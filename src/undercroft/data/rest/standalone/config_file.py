"""PostgREST's configuration file: `key = "text"`, `key = 10`, `key = true`, and `#` comments.

`$(NAME)` in a text is a variable of the environment, `$$` a dollar.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from undercroft.data.rest.standalone.settings import InvalidSettingError

_BETWEEN = re.compile(r"(?:\s|#[^\n]*)*")
_ENTRY = re.compile(r'([A-Za-z][\w.-]*)[ \t]*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"#]+))', re.DOTALL)
_BARE = re.compile(r"true|false|on|off|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.ASCII)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_DOLLAR = re.compile(r"\$(?:\$|\(([^)]*)\))")


def read_config_file(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Read the values by name, as text. Raises InvalidSettingError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingError(f"Cannot read the configuration file {path}: {error}") from error
    found: dict[str, str] = {}
    position = _skip(text, 0)
    while position < len(text):
        entry = _ENTRY.match(text, position)
        if entry is None or (entry[3] is not None and not _BARE.fullmatch(entry[3])):
            line = text.count("\n", 0, position) + 1
            raise InvalidSettingError(f"{path}, line {line}, is no setting")
        found[entry[1]] = entry[3] if entry[3] is not None else _written_out(entry[2], environ)
        position = _skip(text, entry.end())
    return found


def _skip(text: str, position: int) -> int:
    between = _BETWEEN.match(text, position)
    assert between is not None  # it matches nothing, too
    return between.end()


def _written_out(text: str, environ: Mapping[str, str]) -> str:
    plain = _ESCAPE.sub(lambda found: _character(found[1]), text)
    return _DOLLAR.sub(lambda found: _variable(found[1], environ), plain)


def _character(name: str) -> str:
    return chr(int(name[1:], 16)) if len(name) > 1 else _ESCAPED.get(name, name)


def _variable(name: str | None, environ: Mapping[str, str]) -> str:
    if name is None:
        return "$"
    if name not in environ:
        raise InvalidSettingError(f"The configuration file names ${name}, which is not set")
    return environ[name]
