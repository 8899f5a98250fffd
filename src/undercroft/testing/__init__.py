"""Pytest fixtures for apps: a platform of one's own, on the embedded engines.

    # conftest.py
    pytest_plugins = ["undercroft.testing"]

    @pytest.fixture(scope="session")
    def undercroft_apps() -> list[str]:
        return ["shop:APP"]

Then `platform` is the running platform, `platform.anonymous`, `.superuser`, `.person()` call it,
and `platform.run_jobs()` does what was queued.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from undercroft.testing.platform import Caller, Platform, running_platform

__all__ = ["Caller", "Platform", "platform", "undercroft_apps", "undercroft_home"]


@pytest.fixture(scope="session")
def undercroft_apps() -> list[str]:
    """Names or import paths of the apps to switch on; a conftest replaces this."""
    return []


@pytest.fixture(scope="session")
def undercroft_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the engines of this run live."""
    return tmp_path_factory.mktemp("undercroft") / "home"


@pytest.fixture(scope="session")
def platform(undercroft_apps: list[str], undercroft_home: Path) -> Iterator[Platform]:
    """The platform with the apps, migrated and served in this process; one per run."""
    with running_platform(undercroft_home, undercroft_apps) as running:
        yield running
