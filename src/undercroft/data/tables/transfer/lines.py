"""Which line of a file a row of it stands on, for rows that are refused after they were read."""

import re
from array import array
from bisect import bisect_right

# Places of lines that are no row of their own; eight bytes each.
MOST_PLACES = 1_000_000


class Lines:
    """Counts rows as they pass. Most are one line, so that only other lines are kept.

    `rows` is also the number of the row under way: a CSV's header is the row before the first.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._first = 0
        self._end = b"\n"
        self._quoted = False
        self._more = array("q")  # for each line that is no row of its own, the row it belongs to

    def end_by(self, found: re.Match[bytes] | None) -> None:
        """A CSV begins with this end of its first line."""
        self._first = 1
        if found and found[0] == b"\r":
            self._end = b"\r"

    def count(self, chunk: bytes) -> None:
        """Look at the next piece of a CSV. What stands between two quotes ends no row."""
        for number, part in enumerate(chunk.split(b'"')):
            self._quoted ^= number > 0
            ends = part.count(self._end)
            if not self._quoted:
                self.rows += ends
            elif ends and len(self._more) < MOST_PLACES:
                self._more.extend([self.rows] * ends)

    def skip(self) -> None:
        """A line of NDJSON is blank."""
        if len(self._more) < MOST_PLACES:
            self._more.append(self.rows + 1)

    def of(self, row: int) -> int | None:
        """The last line of a row, which counts from 1; None where too much would have been kept."""
        if len(self._more) == MOST_PLACES and row >= self._more[-1]:
            return None
        return self._first + row + bisect_right(self._more, row)
