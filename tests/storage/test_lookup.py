"""Files that are looked for together: nobody is left behind."""

import asyncio
from collections.abc import Iterable
from typing import Any

from undercroft.storage.lookup import TRIPS, _Together


async def test_who_comes_in_the_moment_a_trip_ends_gets_one_of_their_own():
    ends: list[asyncio.Future[None]] = []

    async def fetch(_places: Iterable[Any]) -> dict[Any, Any]:
        ends.append(asyncio.get_running_loop().create_future())
        await ends[-1]
        return {}

    together = _Together(fetch)
    first = []
    for number in range(TRIPS):  # the first trip takes all who wait when it begins
        first.append(asyncio.create_task(together.find(("b", str(number)))))
        while len(ends) <= number:  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)
    for end in ends:
        end.set_result(None)
    last = asyncio.create_task(together.find(("b", "last")))
    await asyncio.wait(first)
    async with asyncio.timeout(20):
        while len(ends) == TRIPS:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        ends[-1].set_result(None)
        assert await last is None
