"""What a worker counts, in the collector registry of its process."""

from datetime import timedelta
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram

Outcome = Literal["succeeded", "retried", "died", "interrupted"]

# Seconds; jobs range from one statement to a purge that takes minutes.
BUCKETS = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300)


class JobMetrics:
    def __init__(self, collectors: CollectorRegistry) -> None:
        self._finished = Counter(
            "undercroft_jobs",
            "Tries of jobs by how they ended.",
            ["job", "outcome"],
            registry=collectors,
        )
        self._duration = Histogram(
            "undercroft_job_duration_seconds",
            "Time a try took, waiting in the queue not counted.",
            ["job"],
            buckets=BUCKETS,
            registry=collectors,
        )

    def count(self, job: str, outcome: Outcome, duration: timedelta) -> None:
        self._finished.labels(job, outcome).inc()
        self._duration.labels(job).observe(duration.total_seconds())
