"""How long the parts of a request took, for the Server-Timing header."""

from time import perf_counter

_PARTS = ("jwt", "parse", "plan", "transaction", "response")


class Stopwatch:
    """`lap` names the time since the one before."""

    __slots__ = ("_laps", "_since")

    def __init__(self) -> None:
        self._laps: list[tuple[str, float]] = []
        self._since = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self._laps.append((name, (now - self._since) * 1000))
        self._since = now

    def stopped(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the header of a request that failed, in the part after the last lap."""
        done = _PARTS.index(self._laps[-1][0]) + 1 if self._laps else 0
        self.lap(_PARTS[done])
        return (self.header(),)

    def header(self) -> tuple[bytes, bytes]:
        laps = ", ".join(f"{name};dur={milliseconds:.1f}" for name, milliseconds in self._laps)
        return b"server-timing", laps.encode()


class NoStopwatch(Stopwatch):
    """Measures nothing, at the price of nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    def lap(self, name: str) -> None:
        pass

    def stopped(self) -> tuple[tuple[bytes, bytes], ...]:
        return ()


NOT_TIMED = NoStopwatch()
