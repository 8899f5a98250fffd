"""Apps written for a test; a cache of our own, which a test may stop; further nodes over the same
database.
"""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.fixtures.actors import settled
from tests.fixtures.app import make_client, running
from undercroft.app import Application, create_app
from undercroft.foundation.embedded import EmbeddedEngines, Home
from undercroft.foundation.embedded.valkey import ValkeyEngine
from undercroft.foundation.settings import Settings, load_settings

Node = tuple[Application, httpx.AsyncClient]
OpenNode = Callable[..., AbstractAsyncContextManager[Node]]


@pytest.fixture
def own_cache(tmp_path: Path) -> Iterator[ValkeyEngine]:
    """A Valkey for this test alone."""
    home = Home(tmp_path / "home")
    home.make()
    elsewhere: Any = {"url": SecretStr("postgresql://elsewhere")}
    engines = EmbeddedEngines(home, load_settings(database=elsewhere, _env_file=None))
    engines.launch()
    engines.wait_ready()
    assert engines.valkey
    yield engines.valkey
    engines.stop()


@pytest.fixture
def open_node(settings: Settings) -> OpenNode:
    """`async with open_node(cache_url) as (app, client)`."""

    @asynccontextmanager
    async def opened(cache_url: str | None = None) -> AsyncIterator[Node]:
        chosen = settings
        if cache_url:
            cache = settings.cache.model_copy(update={"url": SecretStr(cache_url)})
            chosen = settings.model_copy(update={"cache": cache})
        async with running(create_app(chosen)) as app, make_client(app) as client:

            async def hears() -> bool:
                return app.parts.listener.hearing

            assert await settled(hears)
            yield app, client

    return opened


REST = """
from undercroft import App, Public, Router

router = Router("{prefix}", tag="x")

@router.get("", access=Public("a test"))
async def {operation}() -> dict[str, str]:
    '''One.'''
    return {{"it": "works"}}

APP = App(name="{name}", package=__name__, routers=(router,){more})
"""


class Writer:
    """Writes app packages into a directory that is on the path."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(
        self,
        package: str,
        *,
        name: str = "",
        prefix: str = "/things",
        more: str = "",
        files: dict[str, str] | None = None,
    ) -> str:
        folder = self.directory / package
        folder.mkdir()
        text = REST.format(
            name=name or package, prefix=prefix, operation=f"list_{package}", more=more
        )
        (folder / "__init__.py").write_text(text)
        for path, content in (files or {}).items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(dedent(content))
        return f"{package}:APP"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Writer(tmp_path)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def with_apps(settings: Settings, *apps: str) -> Settings:
    return settings.model_copy(update={"apps": apps})
