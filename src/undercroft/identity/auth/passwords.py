"""Password policy, and hashes without waiting for them in the event loop.

A storm of sign-ins takes a bounded part of the machine. Where no process hashes for all workers
(`hashing.py`), threads of this one do; they let go of the interpreter lock and give way by their
niceness.
"""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import cast
from uuid import UUID

import structlog

from undercroft.foundation.settings import PasswordSettings
from undercroft.identity.auth.errors import HashingBusy, PasswordRefused
from undercroft.identity.auth.hashing import Hasher, HashQueue

log = structlog.get_logger()

# Requests come first: with 32 clients signing in, reads of a row may take twice their calm time at
# most. At 5 they took three times as long. The price is paid where other programs keep the machine
# busy: sign-ins then wait for what those leave.
NICENESS = 12
# The head of the list, refused also with digits and punctuation around it ("Password123!").
FAMOUS = 100
# Accounts whose hash was reported, remembered at most.
REPORTED = 10_000
CLASSES = (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z\d]")


class Passwords:
    """Hashes and verifies. One per process."""

    def __init__(self, settings: PasswordSettings, queue: HashQueue | None = None) -> None:
        """`queue` leads to the hashing process, where there is one."""
        self._settings = settings
        self._queue = queue
        self._hasher = Hasher(settings)
        self._threads = ThreadPoolExecutor(
            settings.hash_threads or 1, thread_name_prefix="password", initializer=_be_nice
        )
        self._waiting = 0
        self._dummy: str | None = None
        self._reported: set[UUID | None] = set()

    async def hash(self, password: str) -> str:
        return cast(str, await self._run(self._hasher.hash, password))

    async def verify(
        self, password: str, hashed: str | None, of: UUID | None
    ) -> tuple[bool, str | None]:
        """Return (right?, better hash to store or None).

        Without a stored hash, or with one that nobody can read, the same work is done for nothing,
        so that an unknown identifier takes as long as a wrong password.
        """
        if len(password) > self._settings.max_length:
            password = ""
        # Made at the first sign-in of this process, whoever it is of.
        if self._dummy is None:
            self._dummy = await self.hash("nobody has this password")
        right, better = cast(
            tuple[bool | None, str | None],
            await self._run(self._hasher.verify, password, hashed or self._dummy, self._dummy),
        )
        if right is None:
            self._report(of)
        return (bool(right), better) if hashed else (False, None)

    def check_policy(
        self, password: str, about: Sequence[str] = (), *, pointer: str = "#/password"
    ) -> None:
        """Raise `PasswordRefused` with the first rule that `password` breaks.

        `about` are words of the account that the password may not contain.
        """
        for code, broken in self._rules(password, about):
            if broken:
                raise PasswordRefused(code, self._settings, pointer=pointer)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _rules(self, password: str, about: Sequence[str]) -> list[tuple[str, bool]]:
        limits = self._settings
        classes = sum(bool(re.search(pattern, password)) for pattern in CLASSES)
        needed = limits.min_length if classes == len(CLASSES) else limits.min_length_any
        low = password.casefold()
        return [
            ("too_short", len(password) < needed),
            ("too_long", len(password) > limits.max_length),
            ("too_common", _is_common(low)),
            ("contains_identifier", any(word in low for word in about)),
        ]

    def _report(self, of: UUID | None) -> None:
        """Once for each account, however often somebody tries to sign in to it."""
        if of in self._reported:
            return
        if len(self._reported) >= REPORTED:
            self._reported.clear()
        self._reported.add(of)
        log.warning("password_hash_unreadable", user_id=str(of))

    async def _run(self, work: Callable[..., object], *question: str) -> object:
        if self._waiting >= self._settings.hash_queue:
            raise HashingBusy
        self._waiting += 1
        try:
            answer = await self._queue.ask(*question) if self._queue else None
            if answer is None:
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(self._threads, work, *question)
            return answer
        finally:
            self._waiting -= 1


def _be_nice() -> None:
    # On Linux niceness belongs to a thread; elsewhere this call is not allowed or not needed.
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@cache
def _common() -> tuple[frozenset[str], frozenset[str]]:
    """All of the list and its head, from the one file of the package that holds it.

    Importing the package would rank every word of six lists: 13 MB for as long as we run.
    """
    package = find_spec("zxcvbn")
    assert package
    assert package.origin
    lists = spec_from_file_location("lists", Path(package.origin).with_name("frequency_lists.py"))
    assert lists
    assert lists.loader
    module = module_from_spec(lists)
    lists.loader.exec_module(module)
    ranked = module.FREQUENCY_LISTS["passwords"]
    return frozenset(ranked), frozenset(ranked[:FAMOUS])


def _is_common(low: str) -> bool:
    every, famous = _common()
    return low in every or re.sub(r"^[\W\d_]+|[\W\d_]+$", "", low) in famous
