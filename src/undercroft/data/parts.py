"""The long-lived parts of the data wing in one process, and how routes reach them."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from undercroft.data.developer import Developer
from undercroft.data.plane import RowsPlane

# Each import takes a connection of its own; more at once would only share the same disk.
MOST_IMPORTS = 4
MOST_EXPORTS = 4


@dataclass(frozen=True, slots=True)
class Data:
    rows: RowsPlane
    developer: Developer
    scripts: asyncio.Semaphore
    imports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_IMPORTS))
    exports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_EXPORTS))


async def get_data(request: Request) -> Data:
    data: Data = request.app.state.data
    return data


DataParts = Annotated[Data, Depends(get_data)]
