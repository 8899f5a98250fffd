"""Tries of one account go in turn, so that a crowd of them cannot outrun their count."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Turns:
    """One password at a time is tried for a key in this process.

    The same password at the same time is one guess, and goes together: who signs in from many
    places at once does not wait for herself.
    """

    def __init__(self) -> None:
        self._lines: WeakValueDictionary[bytes, _Line] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, key: bytes, password: str) -> AsyncIterator[None]:
        """What is remembered against the key is to be looked at, and added to, within."""
        line = self._lines.setdefault(key, _Line())
        guess = line.join(password)
        try:
            await guess.turn.wait()
            yield
        finally:
            line.leave(guess)


class _Guess:
    """A password, and how many have come with it."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.members = 0
        self.turn = asyncio.Event()


class _Line:
    """The guess that is being tried, and behind it those that wait."""

    def __init__(self) -> None:
        self._guesses: list[_Guess] = []

    def join(self, password: str) -> _Guess:
        # While others wait nobody joins the one that is tried: it might never end.
        joinable = self._guesses[1:] or self._guesses
        guess = next((each for each in joinable if each.password == password), None)
        if guess is None:
            guess = _Guess(password)
            self._guesses.append(guess)
        guess.members += 1
        self._guesses[0].turn.set()
        return guess

    def leave(self, guess: _Guess) -> None:
        guess.members -= 1
        if not guess.members:
            self._guesses.remove(guess)
        if self._guesses:
            self._guesses[0].turn.set()
