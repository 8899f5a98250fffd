"""What the catalogue of a database says about its exposed schemas, as frozen values.

Built by `introspect`, read by the rows engine's planner. Nothing here talks to a database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class QualifiedName(NamedTuple):
    """A table, view, function or type by schema and name."""

    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Column:
    """`type` looks through domains, `nominal_type` is what the column was declared with."""

    name: str
    type: str
    nominal_type: str
    nullable: bool
    default: str | None = None
    max_length: int | None = None
    enum: tuple[str, ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table, partitioned table, view, materialised view or foreign table."""

    name: QualifiedName
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()
    is_view: bool = False
    insertable: bool = True
    updatable: bool = True
    deletable: bool = True
    description: str | None = None
    has_triggers: bool = False


class Cardinality(Enum):
    """How many rows of the foreign table one row of the table may have."""

    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    ONE_TO_ONE = "one-to-one"
    MANY_TO_MANY = "many-to-many"

    @property
    def to_one(self) -> bool:
        return self in (Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE)


@dataclass(frozen=True, slots=True)
class Junction:
    """The table between two others. Pairs are (column of the end, column of the junction)."""

    table: QualifiedName
    source_constraint: str
    target_constraint: str
    source_columns: tuple[tuple[str, str], ...]
    target_columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Relationship:
    """`columns` pairs (column of table, column of foreign table); empty for many-to-many.

    `inverse` is a relationship seen from the referenced side.
    """

    table: QualifiedName
    foreign_table: QualifiedName
    cardinality: Cardinality
    constraint: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    junction: Junction | None = None
    table_is_view: bool = False
    foreign_is_view: bool = False
    is_self: bool = False
    inverse: bool = False

    @property
    def to_one(self) -> bool:
        return self.cardinality.to_one


@dataclass(frozen=True, slots=True)
class ComputedRelationship:
    """A function from a row of one table to rows of another, embedded by the function's name."""

    function: QualifiedName
    table: QualifiedName
    foreign_table: QualifiedName
    to_one: bool
    is_self: bool


AnyRelationship = Relationship | ComputedRelationship


@dataclass(frozen=True, slots=True)
class Parameter:
    """`call_type` is the type without a length, so that a long argument is not cut silently."""

    name: str
    type: str
    call_type: str
    required: bool
    variadic: bool


class Volatility(Enum):
    """The letters of `pg_proc.provolatile`."""

    IMMUTABLE = "i"
    STABLE = "s"
    VOLATILE = "v"


@dataclass(frozen=True, slots=True)
class Function:
    """A callable function; `returns` is the base type, the table's name for a row type."""

    name: QualifiedName
    parameters: tuple[Parameter, ...]
    returns: QualifiedName
    returns_set: bool
    returns_composite: bool
    volatility: Volatility
    isolation: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    description: str | None = None
    oid: int = 0

    @property
    def returns_void(self) -> bool:
        return self.returns == ("pg_catalog", "void") and not self.returns_set

    @property
    def returns_scalar(self) -> bool:
        return not self.returns_set and not self.returns_composite

    @property
    def returns_set_of_scalar(self) -> bool:
        return self.returns_set and not self.returns_composite

    @property
    def returns_single_composite(self) -> bool:
        return not self.returns_set and self.returns_composite


@dataclass(frozen=True, slots=True)
class MediaHandler:
    """A function or aggregate that writes a media type, as a domain over the type `content`."""

    function: QualifiedName
    target: QualifiedName | None
    media_type: str
    content: str
    is_aggregate: bool = True


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything the planner may know, of one moment. Swapped as a whole, never changed.

    `relationships` is keyed by (origin, schema of the other end); `handlers` by (target or None
    for any row, media type); `representations` by (source type, target type). `has_dynamic_code`
    says that some routine runs text as a command.
    """

    schemas: tuple[str, ...]
    tables: Mapping[QualifiedName, Table] = field(default_factory=dict)
    relationships: Mapping[tuple[QualifiedName, str], tuple[AnyRelationship, ...]] = field(
        default_factory=dict
    )
    functions: Mapping[QualifiedName, tuple[Function, ...]] = field(default_factory=dict)
    representations: Mapping[tuple[str, str], str] = field(default_factory=dict)
    handlers: Mapping[tuple[QualifiedName | None, str], MediaHandler] = field(default_factory=dict)
    timezones: frozenset[str] = frozenset()
    role_settings: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    role_isolation: Mapping[str, str] = field(default_factory=dict)
    has_dynamic_code: bool = False
    server_version: int = 0
