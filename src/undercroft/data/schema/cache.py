"""Holds the current `Catalog` and replaces it as a whole when the schema changes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import asyncpg

from undercroft.data.schema.introspect import HOISTED_SETTINGS, read_catalog
from undercroft.data.schema.model import Catalog

Acquire = Callable[[], AbstractAsyncContextManager["asyncpg.Connection[asyncpg.Record]"]]


class SchemaCacheNotLoadedError(Exception):
    """Asked for the catalogue before it could be read once."""


class SchemaCache:
    """One per process. Readers take `current` once per request and keep what they took.

    `generation` grows with every refresh, so that statements compiled for an older catalogue can
    be told apart.
    """

    def __init__(
        self,
        schemas: Sequence[str],
        *,
        extra_search_path: Sequence[str] = (),
        hoisted_settings: Sequence[str] = HOISTED_SETTINGS,
    ) -> None:
        self.schemas = tuple(schemas)
        self.extra_search_path = tuple(extra_search_path)
        self.hoisted_settings = tuple(hoisted_settings)
        self.generation = 0
        self._catalog: Catalog | None = None
        self._refreshing = asyncio.Lock()

    @property
    def current(self) -> Catalog:
        if self._catalog is None:
            raise SchemaCacheNotLoadedError
        return self._catalog

    @property
    def loaded(self) -> bool:
        return self._catalog is not None

    async def refresh(self, acquire: Acquire) -> Catalog:
        """Read the catalogue anew. A failure leaves the one before in place."""
        async with self._refreshing, acquire() as connection:
            catalog = await read_catalog(
                connection,
                self.schemas,
                extra_search_path=self.extra_search_path,
                hoisted_settings=self.hoisted_settings,
                timezones=self._catalog.timezones if self._catalog else None,
            )
            self._catalog = catalog
            self.generation += 1
            return catalog


def reload_on_notify(
    refresh: Callable[[], Awaitable[object]], reload_config: Callable[[], Awaitable[object]]
) -> Callable[[str], Awaitable[None]]:
    """Answer messages on the reload channel; an empty one reloads both, as in PostgREST."""

    async def on_notify(payload: str) -> None:
        if payload in ("", "reload config"):
            await reload_config()
        if payload in ("", "reload schema"):
            await refresh()

    return on_notify
