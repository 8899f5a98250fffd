"""Describes a schema as an OpenAPI 2.0 document, the form that PostgREST's tools read."""

from undercroft.data.rest.openapi.document import describe
from undercroft.data.rest.openapi.visible import visibility_query

__all__ = ["describe", "visibility_query"]
