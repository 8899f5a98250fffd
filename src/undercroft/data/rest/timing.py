"""How long the parts of a request took, for the Server-Timing header."""

from time import perf_counter


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


NOT_TIMED = NoStopwatch()
