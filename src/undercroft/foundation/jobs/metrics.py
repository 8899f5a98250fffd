"""What a worker counts."""

from datetime import timedelta
from typing import Literal

from prometheus_client import Counter, Histogram

Outcome = Literal["succeeded", "retried", "died", "interrupted"]

TRIES = Counter("undercroft_jobs_total", "Tries of jobs by how they ended.", ("job", "outcome"))
SECONDS = Histogram(
    "undercroft_job_duration_seconds",
    "Time a try took, waiting in the queue not counted.",
    ("job",),
    # From one statement to a purge that takes minutes.
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300),
)


def count_try(job: str, outcome: Outcome, duration: timedelta) -> None:
    TRIES.labels(job, outcome).inc()
    SECONDS.labels(job).observe(duration.total_seconds())
