"""Only names what the fixture files define."""

from tests.foundation.jobs_support import queue, queue_server

__all__ = ["queue", "queue_server"]
