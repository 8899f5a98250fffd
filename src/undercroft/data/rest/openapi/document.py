"""The whole document, put together."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from undercroft.data.rest.openapi.definitions import define_table
from undercroft.data.rest.openapi.paths import BODIES, describe_parameters, describe_paths
from undercroft.data.rest.openapi.values import Json, summary_of
from undercroft.data.rest.openapi.visible import Visible
from undercroft.data.schema.model import Catalog


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API is, as its document says."""

    scheme: str
    host: str
    path: str


def read_address(proxy_uri: str | None, host: str, prefix: str) -> Address:
    if proxy_uri is None:
        return Address("http", host, prefix or "/")
    parts = urlsplit(proxy_uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Address(parts.scheme, f"{parts.hostname}:{port}", parts.path or "/")


def describe(catalog: Catalog, visible: Visible, address: Address, *, secured: bool) -> Json:
    """Write the whole document."""
    title, description = summary_of(visible.description)
    document: Json = {
        "swagger": "2.0",
        "info": {
            "title": title or "PostgREST API",
            "description": description
            if visible.description
            else "The tables, views and functions of a database, served by Undercroft",
            "version": "14",
        },
        "externalDocs": {
            "description": "PostgREST Documentation",
            "url": "https://docs.postgrest.org/en/stable/references/api.html",
        },
        "host": address.host,
        "basePath": address.path,
        "schemes": [address.scheme],
        "consumes": BODIES,
        "produces": BODIES,
        "paths": describe_paths(visible),
        "definitions": {table.name.name: define_table(catalog, table) for table in visible.tables},
        "parameters": describe_parameters(visible.tables),
    }
    if secured:
        document["securityDefinitions"] = {
            "JWT": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "description": 'The word "Bearer", a space, and the token',
            }
        }
        document["security"] = [{"JWT": []}]
    return document
