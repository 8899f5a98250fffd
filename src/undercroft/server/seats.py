"""Which worker takes the next connection: the one that holds the fewest.

Workers share one listening socket. Left alone, the first to wake accepts a whole burst, and with
sixteen keep-alive connections on two workers one core may idle for as long as they last. So who
accepts looks at a table of everybody's connections and passes a new one to the worker with the
fewest. docs/decisions/0005-connections-to-the-least-busy-worker.md has the figures.
"""

import mmap
import os
import socket
from contextlib import suppress

# Larger than any count: nobody hands a connection to a seat that is not taken.
NOT_TAKEN = 2**31 - 1
_ITEM = 4


class Seats:
    """A count and an inbox per worker, shared by every process forked after this was made."""

    def __init__(self, number: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, _ITEM * number)).cast("i")
        self._inboxes = [
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(number)
        ]
        self._free = list(range(number))
        for seat, pair in enumerate(self._inboxes):
            self._counts[seat] = NOT_TAKEN
            for end in pair:
                end.setblocking(False)

    @property
    def free(self) -> int:
        return len(self._free)

    def reserve(self) -> int:
        """A seat for a worker about to be forked; there must be one."""
        return self._free.pop(0)

    def vacate(self, seat: int) -> None:
        """The worker there ended: others get what it was handed and did not take."""
        self.close(seat)
        self._free.append(seat)

    def count(self, seat: int, connections: int) -> None:
        """Say how many connections this seat holds; from now on it may be handed more."""
        self._counts[seat] = connections

    def close(self, seat: int) -> None:
        """Take no more, and pass on what waits in the inbox."""
        self._counts[seat] = NOT_TAKEN
        while connection := self.receive(seat):
            self.hand_over(connection)
            connection.close()

    def least_busy(self, own: int) -> int:
        """The seat for the next connection, our own when nobody has fewer."""
        best = min(range(len(self._counts)), key=self._counts.__getitem__)
        return best if self._counts[best] < self._counts[own] else own

    def hand_over(self, connection: socket.socket, seat: int | None = None) -> bool:
        """Give a copy of `connection` to another worker; False when it cannot take it now."""
        if seat is None:
            seat = min(range(len(self._counts)), key=self._counts.__getitem__)
        if self._counts[seat] == NOT_TAKEN:
            return False
        # Counted here, because the next of a burst is placed before the other has looked.
        self._counts[seat] += 1
        with suppress(OSError):
            socket.send_fds(self._inboxes[seat][1], [b"c"], [connection.fileno()])
            return True
        return False

    def receive(self, seat: int) -> socket.socket | None:
        """A connection that somebody handed to this seat."""
        with suppress(BlockingIOError):
            _, descriptors, _, _ = socket.recv_fds(self.inbox(seat), 1, 1)
            if descriptors:
                os.set_inheritable(descriptors[0], False)
                return socket.socket(fileno=descriptors[0])
        return None

    def inbox(self, seat: int) -> socket.socket:
        """Readable when `receive` has something."""
        return self._inboxes[seat][0]
