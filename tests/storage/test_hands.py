"""Threads for small files."""

import asyncio
from threading import Event, Thread

import pytest

from undercroft.storage.backends.hands import Hands


async def test_a_thread_that_could_not_be_started_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
):
    hands, done = Hands(2, "test"), Event()

    def refuse(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            await hands.run(done.set)
    async with asyncio.timeout(5):
        await hands.run(done.set)
    assert done.is_set()
    hands.close()
