"""Several writes, reads and calls in one transaction: `POST /batch`, beyond PostgREST."""

from undercroft.data.rest.batch.batch import Batch

__all__ = ["Batch"]
