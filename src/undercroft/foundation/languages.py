"""Which language a caller reads, and a problem's words in it.

English stands on the problem classes alone; `locales/` holds every other language by problem code.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from undercroft.foundation.problems import Problem

ENGLISH = "en"
LANGUAGES = (ENGLISH, "ar", "id", "fr", "es", "de", "it", "pt")


def negotiate(accept_language: str | None, preferred: str | None = None) -> str:
    """The language of the header (RFC 9110), else that of the user's settings, else English.

    Among equals the caller's order counts. `*` means that the caller does not mind.
    """
    for tag, quality in parse_accept_header(accept_language, LanguageAccept):
        if tag == "*":
            break
        if quality > 0 and (language := _ours(tag)):
            return language
    return _ours(preferred or "") or ENGLISH


class Words(NamedTuple):
    """A problem in one language. `errors` are its lines about single fields, if it has any."""

    title: str
    detail: str
    errors: list[dict[str, Any]]


def translate_problem(problem: Problem, language: str) -> Words:
    """The words of `problem`; in English where a language has none for it."""
    words = _of_apps.get((language, problem.code)) or _catalogue(language).get(problem.code, {})
    reasons = words.get("reasons", {})
    detail = problem.sentence(words.get("detail"), reasons)
    lines = [
        {**line, "detail": _line_detail(problem, line, detail, reasons)}
        for line in problem.members.get("errors", ())
    ]
    return Words(words.get("title", problem.title), detail, lines)


def _line_detail(
    problem: Problem, line: Mapping[str, Any], detail: str, reasons: Mapping[str, str]
) -> str:
    code = line["code"]
    if code in problem.reasons:
        return problem.reason(code, reasons)
    return detail if code == problem.code else str(line["detail"])


def learn(directory: Path) -> None:
    """Add what an app has in files such as `de.json`, in the form of the platform's own."""
    for file in directory.glob("*.json"):
        words = json.loads(file.read_text(encoding="utf-8"))
        _of_apps.update({(file.stem, code): entry for code, entry in words.items()})


_of_apps: dict[tuple[str, str], Mapping[str, Any]] = {}


def _ours(tag: str) -> str | None:
    """`de` for `de-AT`."""
    language = tag.replace("_", "-").partition("-")[0].strip().lower()
    return language if language in LANGUAGES else None


@cache
def _catalogue(language: str) -> Mapping[str, Mapping[str, Any]]:
    if language == ENGLISH or language not in LANGUAGES:
        return {}
    catalogue = files(__package__).joinpath("locales", f"{language}.json")
    words: Mapping[str, Mapping[str, Any]] = json.loads(catalogue.read_text(encoding="utf-8"))
    return words
