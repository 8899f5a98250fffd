"""Identifiers: UUIDv7 (RFC 9562), so that keys sort by time and indexes stay dense."""

import os
import time
from uuid import UUID


def new_id() -> UUID:
    """Make a UUIDv7 from the clock and 74 random bits."""
    stamp = time.time_ns() // 1_000_000
    random = _random()
    value = (
        (stamp & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | (random >> 64 & 0x0FFF) << 64
        | 0b10 << 62
        | random & 0x3FFF_FFFF_FFFF_FFFF
    )
    return UUID(int=value)


def _random() -> int:
    """80 random bits. Asked for many at once: each call into the system hands on Python's lock."""
    try:
        return _ready.pop()
    except IndexError:
        fresh = os.urandom(_BYTES * _AT_ONCE)
        numbers = range(0, len(fresh), _BYTES)
        found, *others = (int.from_bytes(fresh[at : at + _BYTES], "big") for at in numbers)
        _ready.extend(others)
        return found


_BYTES, _AT_ONCE = 10, 64
_ready: list[int] = []
# Parent and child would make the same.
os.register_at_fork(after_in_child=_ready.clear)
