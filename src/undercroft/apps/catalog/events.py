"""Facts about the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class CatalogChanged:
    """`noun` is authors, movies or series, `verb` created, updated or deleted."""

    noun: str
    entry_id: UUID
    verb: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class CatalogImported:
    """How many of each an import added."""

    authors: int
    movies: int
    series: int
    by: UUID | None


# What they are called to other servers.
WEBHOOKS: Mapping[type, str] = {
    CatalogChanged: "catalog.changed",
    CatalogImported: "catalog.imported",
}
