"""What a request means, the values in it left out."""

from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from undercroft.data.rest.compile import Compiled, Intent
from undercroft.data.rest.errors import Headers
from undercroft.data.rest.execute import Recipe
from undercroft.data.rest.preferences import applied_header
from undercroft.data.rest.ranges import Window

_ALWAYS_APPLIED = ("count", "tx", "handling", "timezone")
_APPLIED = {
    "read": _ALWAYS_APPLIED,
    "insert": ("resolution", "missing", "return", *_ALWAYS_APPLIED),
    "update": ("missing", "return", *_ALWAYS_APPLIED, "max-affected"),
    "upsert": ("return", *_ALWAYS_APPLIED),
    "delete": ("return", *_ALWAYS_APPLIED, "max-affected"),
    "call": (*_ALWAYS_APPLIED, "max-affected"),
}
# What an answer depends on besides its address; `response.headers` may say otherwise.
VARY = (b"vary", b"Accept, Prefer, Range")


class Understood(NamedTuple):
    """What is wanted, how it is done for callers of one role, and the frame of its answers."""

    intent: Intent
    window: Window
    compiled: Compiled
    recipe: Recipe
    frame: "Frame"


class Frame(NamedTuple):
    """What answers have in common, whatever the values asked for: address and headers.

    `lines` are the headers as they are sent.
    """

    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    lines: bytes


def frame(intent: Intent, compiled: Compiled, prefix: str, profile: str | None) -> Frame:
    """`profile` is the schema that the answer names, if it does."""
    headers: Headers = []
    if _has_content(intent, compiled):
        headers.append((b"content-type", compiled.answer.media_type.content_type))
        if profile is not None:
            headers.append((b"content-profile", profile.encode()))
    if not compiled.answer.media_type.is_plan:
        headers += _preferences(intent, compiled)
    headers.append(VARY)
    if compiled.warning is not None:
        headers.append(_warning(compiled.warning))
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return Frame(f"{prefix}/{intent.target.name}", tuple(headers), lines)


def _has_content(intent: Intent, compiled: Compiled) -> bool:
    if compiled.answer.media_type.is_plan or intent.action == "read":
        return True
    if intent.action == "call":
        return not compiled.returns_nothing
    return intent.preferences.representation == "representation"


def _warning(text: str) -> tuple[bytes, bytes]:
    return b"warning", f'299 PostgREST "{quote(text, safe=" `,.")}"'.encode()


def _preferences(intent: Intent, compiled: Compiled) -> Headers:
    preferences = intent.preferences
    if intent.action == "insert":
        keyed = compiled.table and compiled.table.primary_key
        if not keyed and not intent.shape.on_conflict:
            preferences = replace(preferences, resolution=None)
    applied = applied_header(preferences, _APPLIED[intent.action])
    return [(b"preference-applied", applied)] if applied else []
