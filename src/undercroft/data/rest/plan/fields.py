"""Resolves columns against the catalogue: JSON, full text, and domain representations."""

from collections.abc import Callable, Mapping

from undercroft.data.rest.plan.tree import ResolvedField
from undercroft.data.rest.syntax.ast import Field
from undercroft.data.schema.model import Catalog, Column, QualifiedName

_Cast = Callable[[str], tuple[str, str]]


class Fields:
    """The columns of one relation. An unknown one is left to the database to judge.

    It may be a computed field: a function of the row that is called like a column.
    """

    __slots__ = ("_columns", "_representations")

    def __init__(self, catalog: Catalog, table: QualifiedName) -> None:
        found = catalog.tables.get(table)
        self._columns: Mapping[str, Column] = found.columns if found else {}
        self._representations = catalog.representations

    @property
    def columns(self) -> list[Column]:
        return list(self._columns.values())

    @property
    def has_representations(self) -> bool:
        return any(
            (column.nominal_type, "json") in self._representations
            for column in self._columns.values()
        )

    def plain(self, field: Field) -> ResolvedField:
        column = self._columns.get(field.name)
        return ResolvedField(
            field.name,
            field.path,
            to_json=column is None or column.nominal_type not in ("json", "jsonb"),
            to_tsvector=column is not None and column.type != "tsvector",
        )

    def output(self, field: Field) -> ResolvedField:
        """Resolve a field that is read out, through the cast to JSON of its domain if any."""
        return self._transformed(field, lambda nominal: (nominal, "json"))

    def compared(self, field: Field) -> ResolvedField:
        """Resolve a field that is compared to a text, through the cast from text to its domain."""
        return self._transformed(field, lambda nominal: ("text", nominal))

    def _transformed(self, field: Field, cast: _Cast) -> ResolvedField:
        resolved = self.plain(field)
        column = self._columns.get(field.name)
        if column is None or not self._representations:
            return resolved
        return resolved._replace(transform=self._representations.get(cast(column.nominal_type)))
