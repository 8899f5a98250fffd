"""The backend under an application. What apps may import from here is listed in `kit.py`.

The names are looked up when they are asked for: the command line answers `--help` without them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from undercroft.kit import *  # noqa: F403 - the list is there


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name not in {"kit", "cli"}:
        from importlib import import_module  # noqa: PLC0415

        kit = import_module("undercroft.kit")
        if name in kit.__all__:
            return getattr(kit, name)
    raise AttributeError(f"module 'undercroft' has no attribute '{name}'")
