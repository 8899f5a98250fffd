"""Sentences that are no problem's title or detail, in the caller's language.

What is wrong with one field of a request, and what an answer says in words. Declared once in
English, where it is used; `locales/phrases/` holds every other language by code.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, ClassVar

from pydantic_core import PydanticCustomError

from undercroft.foundation.languages import ENGLISH


class Phrase:
    """One sentence: a `str.format` template with a code that never changes meaning."""

    declared: ClassVar[dict[str, "Phrase"]] = {}

    def __init__(self, code: str, english: str) -> None:
        self.code = code
        self.english = english
        self.takes = {name for _, name, _, _ in Formatter().parse(english) if name}
        self.declared[code] = self

    def __call__(self, language: str, **values: Any) -> str:
        return _catalogue(language).get(self.code, self.english).format_map(values)

    def refusal(self, **values: Any) -> PydanticCustomError:
        """For validators: the line of a 422 gets this phrase's code and words."""
        return PydanticCustomError(self.code, self.english, values)


@cache
def _catalogue(language: str) -> Mapping[str, str]:
    if language == ENGLISH:
        return {}
    catalogue = files(__package__).joinpath("locales", "phrases", f"{language}.json")
    words: Mapping[str, str] = json.loads(catalogue.read_text(encoding="utf-8"))
    return words
