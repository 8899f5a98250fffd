"""Argon2id, and the queue to the process that hashes for all workers of `undercroft serve`.

A hash takes about 15 ms of a core and 19 MiB. Made in a web worker it takes that core from
requests, whatever its niceness (docs/decisions/0090-passwords-are-hashed-aside.md). So workers ask
the hashing process, which runs where nobody else wants to, and only make a hash themselves when
there is no such process, or no answer in time.
"""

import asyncio
import re
import select
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress

import nacl.pwhash
import orjson
from argon2.exceptions import Argon2Error, VerifyMismatchError
from nacl.exceptions import CryptoError
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from undercroft.foundation.settings import PasswordSettings

# Seconds until a hash is made where it was asked for: the machine may have no core to spare for
# anything that gives way, and somebody has to sign in to find out why.
PATIENCE = 10.0
# A pause when the queue is full: it holds ten questions or more, so it does not run dry meanwhile.
PAUSE = 0.01
LONGEST_MESSAGE = 65_536
# Argon2id with a digest of 32 bytes, in less than 128 characters.
_SODIUM_READS = re.compile(
    rb"\$argon2id\$v=19\$m=[0-9]{1,10},t=[0-9]{1,10},p=[0-9]{1,3}"
    rb"\$[A-Za-z0-9+/]{1,22}\$[A-Za-z0-9+/]{43}"
)
# bcrypt never looked further, and who made a hash of a longer password was not always told.
BCRYPT_BYTES = 72


class SodiumArgon2(Argon2Hasher):
    """Verifies by libsodium, which uses all of a processor: 15 ms where argon2-cffi takes 26.

    What it cannot read goes by argon2-cffi: the other variants, and digests of odd lengths in
    hashes that were brought along.
    """

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002
        hashed = hash.encode() if isinstance(hash, str) else hash
        secret = password.encode() if isinstance(password, str) else password
        try:
            if _SODIUM_READS.fullmatch(hashed):
                return nacl.pwhash.verify(hashed, secret)
            return self._hasher.verify(hashed, secret)
        except (CryptoError, VerifyMismatchError):
            return False


class ShortBcrypt(BcryptHasher):
    """As bcrypt was everywhere: what follows the 72nd byte of a password does not count."""

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002
        secret = password.encode() if isinstance(password, str) else password
        return super().verify(secret[:BCRYPT_BYTES], hash)


class Hasher:
    """Makes and verifies hashes, one after the other, where it is called."""

    def __init__(self, settings: PasswordSettings) -> None:
        argon2 = SodiumArgon2(
            time_cost=settings.iterations,
            memory_cost=settings.memory_kib,
            parallelism=settings.parallelism,
        )
        self._hash = PasswordHash((argon2, ShortBcrypt()))

    def hash(self, password: str) -> str:
        return self._hash.hash(password)

    def verify(self, password: str, hashed: str, stand_in: str) -> tuple[bool | None, str | None]:
        """Return (right?, better hash to store or None).

        Neither where nobody can read `hashed`; then the work is done for `stand_in`, so that the
        answer takes as long as another.
        """
        try:
            return self._hash.verify_and_update(password, hashed)
        except (UnknownHashError, Argon2Error, ValueError):
            self._hash.verify(password, stand_in)
            return None, None

    def answer(self, question: bytes) -> bytes:
        """What `HashQueue` brought: `[password]` is to be hashed, three words are `verify`'s."""
        password, *hashes = orjson.loads(question)
        return orjson.dumps(self.verify(password, *hashes) if hashes else self.hash(password))


class HashQueue:
    """From every worker to the hashing process; first come, first served.

    Made before the fork and held by the parent, so that what waits outlives a hashing process that
    dies. A question is a datagram that brings the socket for its answer: when that closes, whoever
    was to read or to write there is gone.
    """

    def __init__(self) -> None:
        self._questions, self._asking = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._asking.setblocking(False)
        self._turn = asyncio.Lock()

    async def ask(self, *question: str) -> object:
        """The answer, or None when there is none in time."""
        message = orjson.dumps(question)
        mine, theirs = socket.socketpair()
        with closing(mine), suppress(OSError):  # no time, no room, nobody there
            mine.setblocking(False)
            async with asyncio.timeout(PATIENCE):
                with closing(theirs):
                    await self._send(message, theirs.fileno())
                answer = await asyncio.get_running_loop().sock_recv(mine, LONGEST_MESSAGE)
                return orjson.loads(answer) if answer else None
        return None

    def answer_all(self, hasher: Hasher, aside: Callable[[], AbstractContextManager[None]]) -> None:
        """Answer until this process ends, each question `aside`."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._questions, LONGEST_MESSAGE, 1)
            if not descriptors:  # none was free here, so the asker's is closed, which tells them
                continue
            # What goes wrong stays unanswered: who asked makes the hash and meets the error.
            with suppress(Exception), socket.socket(fileno=descriptors[0]) as asker:
                if not _has_left(asker):
                    with aside():
                        answer = hasher.answer(message)
                    asker.sendall(answer)

    async def _send(self, message: bytes, answer_to: int) -> None:
        async with self._turn:
            while True:
                with suppress(BlockingIOError):
                    socket.send_fds(self._asking, [message], [answer_to])
                    return
                await asyncio.sleep(PAUSE)


def _has_left(asker: socket.socket) -> bool:
    poll = select.poll()
    poll.register(asker, select.POLLIN)
    return bool(poll.poll(0))
