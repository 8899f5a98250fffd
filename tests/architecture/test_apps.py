"""The bundled apps use what a customer's app may use, and nothing else of this package."""

import ast
from collections.abc import Iterator
from pathlib import Path

import typer

import undercroft
from undercroft import kit
from undercroft.cli.main import app as command_line
from undercroft.foundation.apps.discovery import COMMANDS

APPS = Path(kit.__file__).parent / "apps"
# The front doors that apps offer each other; `requires` says who needs whom.
DOORS = {"undercroft.apps.sites"}
# Beside `from undercroft import …` a customer's tests use this.
PUBLIC = {"undercroft", "undercroft.testing"}


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def is_allowed(module: str, app: str) -> bool:
    if module.split(".", maxsplit=1)[0] != "undercroft":
        return True
    own = f"undercroft.apps.{app}"
    return module in PUBLIC | DOORS or module == own or module.startswith(f"{own}.")


def test_they_import_the_public_surface_alone():
    wrong = [
        f"{file.relative_to(APPS)}: {module}"
        for file in APPS.glob("*/**/*.py")
        for module in imported(file.read_text())
        if not is_allowed(module, file.relative_to(APPS).parts[0])
    ]
    assert not wrong


def test_this_check_knows_good_from_bad():
    assert list(imported("from undercroft.foundation.db import Base")) == [
        "undercroft.foundation.db"
    ]
    assert is_allowed("undercroft", "catalog")
    assert is_allowed("undercroft.apps.catalog.models", "catalog")
    assert is_allowed("sqlalchemy.orm", "catalog")
    assert not is_allowed("undercroft.apps.catalog.models", "sites")
    assert not is_allowed("undercroft.foundation.db", "catalog")
    assert not is_allowed("undercroft.kit", "catalog")


def test_every_public_name_is_there():
    assert sorted(kit.__all__) == list(kit.__all__)
    for name in kit.__all__:
        assert getattr(undercroft, name) is getattr(kit, name)


def test_no_app_takes_the_name_of_a_command():
    group = typer.main.get_group(command_line)
    assert set(group.commands) == COMMANDS
