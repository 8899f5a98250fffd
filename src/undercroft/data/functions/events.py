"""Facts about functions and triggers."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class DefinitionSaved:
    """A function or trigger was made, changed or restored."""

    definition_id: UUID
    kind: str
    signature: str
    version: int
    by: UUID | None


@dataclass(frozen=True, slots=True)
class DefinitionDeleted:
    definition_id: UUID
    kind: str
    signature: str
    by: UUID | None
