"""Media types: reading them from Accept and Content-Type, writing them to Content-Type."""

from dataclasses import dataclass
from functools import lru_cache

from werkzeug.http import parse_accept_header, parse_options_header

JSON = "application/json"
CSV = "text/csv"
TEXT = "text/plain"
XML = "text/xml"
GEOJSON = "application/geo+json"
OPENAPI = "application/openapi+json"
FORM = "application/x-www-form-urlencoded"
BYTES = "application/octet-stream"
ANY = "*/*"
OBJECT = "application/vnd.pgrst.object+json"
ARRAY = "application/vnd.pgrst.array+json"
PLAN = "application/vnd.pgrst.plan"

_ALIASES = {
    "application/vnd.pgrst.object": OBJECT,
    "application/vnd.pgrst.array": ARRAY,
}
_PLANS = {PLAN: "text", f"{PLAN}+text": "text", f"{PLAN}+json": "json"}
_WITH_CHARSET = {JSON, CSV, TEXT, XML, GEOJSON, OPENAPI, FORM, OBJECT, ARRAY, ANY}
PLAN_OPTIONS = ("analyze", "verbose", "settings", "buffers", "wal")


@dataclass(frozen=True, slots=True)
class MediaType:
    """`name` without parameters. A plan carries the type it explains, its format and options."""

    name: str
    strip_nulls: bool = False
    plan_format: str | None = None
    plan_for: "MediaType | None" = None
    plan_options: tuple[str, ...] = ()

    @property
    def is_plan(self) -> bool:
        return self.plan_format is not None

    @property
    def mime(self) -> str:
        if self.plan_for is not None:
            options = f"; options={'|'.join(self.plan_options)}" if self.plan_options else ""
            return f'{PLAN}+{self.plan_format}; for="{self.plan_for.mime}"{options}'
        return f"{self.name};nulls=stripped" if self.strip_nulls else self.name

    @property
    def content_type(self) -> bytes:
        charset = "; charset=utf-8" if self.is_plan or self.name in _WITH_CHARSET else ""
        return f"{self.mime}{charset}".encode("latin-1", "replace")


@lru_cache(maxsize=1024)
def parse_media_type(value: str) -> MediaType:
    """Read one media type with its parameters, without regard to case."""
    name, options = parse_options_header(value)
    name = _ALIASES.get(name.lower(), name.lower())
    if name in _PLANS:
        return MediaType(
            name=PLAN,
            plan_format=_PLANS[name],
            plan_for=parse_media_type(options.get("for", JSON)),
            plan_options=tuple(
                option for option in PLAN_OPTIONS if option in options.get("options", "").split("|")
            ),
        )
    stripped = options.get("nulls") == "stripped"
    if name == ARRAY and not stripped:
        return MediaType(JSON)
    return MediaType(name or ANY, strip_nulls=stripped and name in (ARRAY, OBJECT))


@lru_cache(maxsize=1024)
def parse_accept(value: str | None) -> tuple[MediaType, ...]:
    """List what the client accepts, most wanted first and, as wanted, most specific first."""
    wanted = parse_accept_header(value)
    ordered = sorted(wanted, key=lambda item: (-item[1], item[0].count("*") - item[0].count(";")))
    return tuple(parse_media_type(name) for name, _ in ordered) or (MediaType(ANY),)
