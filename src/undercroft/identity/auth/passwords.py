"""Password policy and Argon2id in a bounded pool of threads.

Hashing takes about 15 ms of a core. Argon2 lets go of the interpreter lock, so it runs beside the
event loop; the pool bounds how much of the machine a storm of sign-ins can take, first come, first
served, and the threads give way to everything else by their niceness.
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
from typing import TypeVar

import nacl.pwhash
from nacl.exceptions import CryptoError
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from undercroft.foundation.settings import PasswordSettings
from undercroft.identity.auth.errors import HashingBusy, PasswordRefused

Result = TypeVar("Result")

# Requests come first: with 32 clients signing in, reads of a row may take twice their calm time at
# most. At 5 they took three times as long. The price is paid where other programs keep the machine
# busy: sign-ins then wait for what those leave.
NICENESS = 12
# The head of the list, refused also with digits and punctuation around it ("Password123!").
FAMOUS = 100
# Argon2id with a digest of 32 bytes, in less than 128 characters.
_SODIUM_READS = re.compile(rb"\$argon2id\$v=19\$[^$]{1,40}\$[^$]{1,22}\$[^$]{43}")
CLASSES = (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z\d]")


class SodiumArgon2(Argon2Hasher):
    """Verifies by libsodium, which uses all of a processor: 15 ms where argon2-cffi takes 26.

    What it cannot read goes by argon2-cffi: the other variants, and digests of odd lengths in
    hashes that were brought along.
    """

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002
        hashed = hash.encode() if isinstance(hash, str) else hash
        if not _SODIUM_READS.fullmatch(hashed):
            return super().verify(password, hash)
        try:
            secret = password.encode() if isinstance(password, str) else password
            return nacl.pwhash.verify(hashed, secret)
        except CryptoError:
            return False


class Passwords:
    """Hashes and verifies. One per process."""

    def __init__(self, settings: PasswordSettings) -> None:
        self._settings = settings
        argon2 = SodiumArgon2(
            time_cost=settings.iterations,
            memory_cost=settings.memory_kib,
            parallelism=settings.parallelism,
        )
        self._hash = PasswordHash((argon2, BcryptHasher()))
        self._threads = ThreadPoolExecutor(
            settings.hash_threads, thread_name_prefix="password", initializer=_be_nice
        )
        self._waiting = 0
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hash.hash(password))

    async def verify(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        """Return (right?, better hash to store or None).

        Without a stored hash the same work is done for nothing, so that an unknown identifier
        takes as long as a wrong password.
        """
        if len(password) > self._settings.max_length:
            password = ""
        # Made at the first sign-in of this process, whoever it is of.
        if self._dummy is None:
            self._dummy = await self.hash("nobody has this password")
        if hashed is None:
            dummy = self._dummy
            await self._run(lambda: self._hash.verify(password, dummy))
            return False, None
        return await self._run(lambda: self._hash.verify_and_update(password, hashed))

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

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= self._settings.hash_queue:
            raise HashingBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
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
