"""What an import answers, and that one asked for again by its Idempotency-Key changes nothing."""

import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from undercroft.data.tables.transfer.imports import Moved
from undercroft.data.tables.transfer.schemas import Imported
from undercroft.data.tables.transfer.sources import Counted
from undercroft.foundation.http.dependencies import Foundation
from undercroft.foundation.http.idempotency import Fingerprint, OnceElsewhere, is_asked


class ImportAnswer:
    """One request's; `body` is its content, to be read through this."""

    def __init__(self, request: Request, parts: Foundation, *said: object) -> None:
        self._started = time.perf_counter()
        self._key: OnceElsewhere | None = None
        chunks: AsyncIterator[bytes] = request.stream()
        if is_asked(request):
            fingerprint = Fingerprint(*said)
            chunks = fingerprint.of(chunks)
            self._key = OnceElsewhere(request, parts, fingerprint)
        self.body = Counted(chunks)

    async def is_done(self, connection: "asyncpg.Connection[Any]") -> bool:
        return self._key is not None and await self._key.claim(connection)

    async def done(self, connection: "asyncpg.Connection[Any]", table: str, moved: Moved) -> None:
        seconds = round(time.perf_counter() - self._started, 3)
        imported = Imported(
            table=table,
            rows=moved.rows,
            skipped=moved.skipped,
            bytes=self.body.size,
            seconds=seconds,
        )
        self._response = JSONResponse(imported.model_dump(mode="json"))
        if self._key:
            await self._key.keep(connection, self._response)

    async def after(self, *, imported: bool) -> Response:
        """The answer, after the commit. Before an earlier one all of the body is compared."""
        if self._key and not imported:
            await self.body.drain()
            return await self._key.replay()
        if self._key:
            await self._key.settle()
        return self._response
