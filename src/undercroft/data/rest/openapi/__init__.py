"""Describes a schema as an OpenAPI 2.0 document, the form that PostgREST's tools read."""

from undercroft.data.rest.openapi.document import describe, read_address
from undercroft.data.rest.openapi.visible import read_visible, visibility_query

__all__ = ["describe", "read_address", "read_visible", "visibility_query"]
