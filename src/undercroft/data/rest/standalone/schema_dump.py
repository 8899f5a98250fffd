"""The catalogue as JSON, for people who look for what the API knows of their schema."""

from dataclasses import asdict

import orjson

from undercroft.data.schema.model import Catalog, QualifiedName


def dump_schema(catalog: Catalog) -> bytes:
    """Write everything the planner knows. What is kept by a key is [key, value].

    Tables and functions have PostgREST's names for their own.
    """
    document = {
        "dbTables": [[_qualified(name), asdict(table)] for name, table in catalog.tables.items()],
        "dbRelationships": [
            [key, [asdict(item) for item in found]] for key, found in catalog.relationships.items()
        ],
        "dbRoutines": [
            [_qualified(name), [asdict(item) for item in found]]
            for name, found in catalog.functions.items()
        ],
        "dbRepresentations": list(catalog.representations.items()),
        "dbMediaHandlers": [[key, asdict(item)] for key, item in catalog.handlers.items()],
        "dbTimezones": sorted(catalog.timezones),
    }
    return orjson.dumps(document, default=list)  # named tuples


def _qualified(name: QualifiedName) -> dict[str, str]:
    return {"qiName": name.name, "qiSchema": name.schema}
