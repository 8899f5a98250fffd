"""What a database's catalogue says of its exposed schemas, and the cache that keeps it."""

from undercroft.data.schema.cache import SchemaCache, reload_on_notify
from undercroft.data.schema.introspect import MissingSchemaError, read_catalog
from undercroft.data.schema.model import Catalog, QualifiedName

__all__ = [
    "Catalog",
    "MissingSchemaError",
    "QualifiedName",
    "SchemaCache",
    "read_catalog",
    "reload_on_notify",
]
