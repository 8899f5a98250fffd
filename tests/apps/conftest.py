"""A cache of our own, which a test may stop, and further nodes over the same database."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
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
