"""Prometheus metrics of the HTTP planes, summed over workers by prometheus-client's files."""

import asyncio
import os
from bisect import bisect_left

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Tally:
    """Answers of one kind since the last were written down.

    prometheus-client writes each observation to the file that workers share, which took a
    fifteenth of a small read.
    """

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class TalliedHistogram(Histogram):
    def add(self, tally: Tally) -> None:
        """As if each had been observed by itself."""
        self._sum.inc(tally.seconds)
        for bucket, number in zip(self._buckets, tally.buckets, strict=True):
            if number:
                bucket.inc(number)


REQUESTS = Counter(
    "undercroft_http_requests_total",
    "Answers by plane, method and status.",
    ("plane", "method", "status"),
)
SECONDS = TalliedHistogram(
    "undercroft_http_request_seconds", "Time to answer by plane.", ("plane",), buckets=BUCKETS
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_WRITTEN_EVERY = 1.0  # seconds

_tallies: dict[tuple[str, str, int], Tally] = {}


def observe_request(plane: str, method: str, status: int, seconds: float) -> None:
    tally = _tallies.get((plane, method, status)) or _begin_tally(plane, method, status)
    tally.buckets[bisect_left(BUCKETS, seconds)] += 1
    tally.seconds += seconds


def _begin_tally(plane: str, method: str, status: int) -> Tally:
    if not _tallies:
        asyncio.get_running_loop().call_later(_WRITTEN_EVERY, write_down)
    known = method if method in _METHODS else "other"
    return _tallies.setdefault((plane, known, status), Tally())


def write_down() -> None:
    """Hand over what was counted, now and not within a second."""
    for (plane, method, status), tally in _tallies.items():
        REQUESTS.labels(plane, method, str(status)).inc(sum(tally.buckets))
        SECONDS.labels(plane).add(tally)
    _tallies.clear()


def exposition() -> tuple[bytes, str]:
    """Everything to expose and its content type; all workers' values when they share files."""
    write_down()
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
