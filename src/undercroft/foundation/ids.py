"""Identifiers: UUIDv7 (RFC 9562), so that keys sort by time and indexes stay dense."""

import os
import time
from uuid import UUID


def new_id() -> UUID:
    """Make a UUIDv7 from the clock and 74 random bits."""
    stamp = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        (stamp & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | (random >> 64 & 0x0FFF) << 64
        | 0b10 << 62
        | random & 0x3FFF_FFFF_FFFF_FFFF
    )
    return UUID(int=value)
