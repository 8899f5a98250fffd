"""Whose turn it is to try a password."""

import asyncio

from undercroft.identity.auth.turns import Turns


class Door:
    """Who is let in, in their order; all of them stay until it is opened."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.open = asyncio.Event()
        self._turns = Turns()

    async def come(self, password: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._attempt(password))
        await asyncio.sleep(0)
        return task

    async def _attempt(self, password: str) -> None:
        async with self._turns.of(b"key", password):
            self.entered.append(password)
            await self.open.wait()


async def test_the_same_password_goes_together():
    door = Door()
    tasks = [await door.come("right") for _ in range(3)]
    assert door.entered == ["right"] * 3
    door.open.set()
    await asyncio.gather(*tasks)


async def test_nobody_joins_the_one_that_is_tried_while_others_wait():
    door = Door()
    tasks = [await door.come(each) for each in ("wrong", "right", "wrong", "right")]
    assert door.entered == ["wrong"]
    door.open.set()
    await asyncio.gather(*tasks)
    assert door.entered == ["wrong", "right", "right", "wrong"]


async def test_who_leaves_within_or_before_their_turn_holds_up_nobody():
    door = Door()
    inside, waiting, last = [await door.come(each) for each in ("first", "second", "third")]
    waiting.cancel()
    inside.cancel()
    await asyncio.wait([inside, waiting])
    door.open.set()
    await last
    assert door.entered == ["first", "third"]
    await (await door.come("fourth"))
