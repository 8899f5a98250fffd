"""Prometheus metrics of the HTTP planes, summed over workers by prometheus-client's files."""

import os
from typing import Any

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

REQUESTS = Counter(
    "undercroft_http_requests_total",
    "Answers by plane, method and status.",
    ("plane", "method", "status"),
)
SECONDS = Histogram(
    "undercroft_http_request_seconds", "Time to answer by plane.", ("plane",), buckets=BUCKETS
)

# `labels()` hashes and locks; the hot planes keep what it returns.
_children: dict[tuple[str, str, int], Any] = {}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe_request(plane: str, method: str, status: int, seconds: float) -> None:
    key = (plane, method, status)
    pair = _children.get(key)
    if pair is None:
        known = method if method in _METHODS else "other"
        pair = (REQUESTS.labels(plane, known, str(status)), SECONDS.labels(plane))
        if known == method:
            _children[key] = pair
    pair[0].inc()
    pair[1].observe(seconds)


def exposition() -> tuple[bytes, str]:
    """Everything to expose and its content type; all workers' values when they share files."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
