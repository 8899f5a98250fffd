"""Only names what the fixture files define."""

from tests.foundation.jobs_support import queue

__all__ = ["queue"]
