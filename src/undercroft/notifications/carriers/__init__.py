"""Who takes a message away. Each carrier is outside, so each has a small protocol."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from undercroft.notifications.templates import Content


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, ready to go. `id` stays the same over all tries."""

    id: UUID
    recipient: str
    content: Content


class Carrier(Protocol):
    async def carry(self, letter: Letter) -> str:
        """Hand over and return the carrier's own id. Raises `NotDelivered`."""
        ...
