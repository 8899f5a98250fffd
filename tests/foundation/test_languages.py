"""Every problem speaks all eight languages."""

import importlib
import json
import pkgutil
from importlib.resources import files
from string import Formatter

import pytest
from pydantic_core._pydantic_core import list_all_errors

import undercroft
from tests.fixtures.engines import APPS as BUNDLED
from undercroft.foundation.apps import App, load_app
from undercroft.foundation.http.validation import BY_CODE
from undercroft.foundation.languages import LANGUAGES, negotiate, translate_problem
from undercroft.foundation.phrases import Phrase
from undercroft.foundation.problems import (
    MissingPermission,
    NotFound,
    Problem,
    TooManyRequests,
)

OTHERS = LANGUAGES[1:]


class NotTranslatedYet(Problem):
    title = "Only in English"
    detail = "For {reason}."


# Neither answers callers, and importing a migration outside of a run fails.
SILENT = ("undercroft.cli", "undercroft.migrations")


def load_every_module() -> None:
    for module in pkgutil.walk_packages(undercroft.__path__, "undercroft."):
        if not module.name.startswith(SILENT) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def catalogue(language: str) -> dict[str, dict[str, str]]:
    return json.loads(
        files("undercroft.foundation").joinpath(f"locales/{language}.json").read_text()
    )


APPS = "undercroft.apps."


def problems() -> dict[str, type[Problem]]:
    load_every_module()
    return {
        kind.code: kind
        for kind in Problem.every()
        if kind.__module__.startswith("undercroft.") and not kind.__module__.startswith(APPS)
    }


def problems_of(app: App) -> dict[str, type[Problem]]:
    within = f"{app.package}."
    return {kind.code: kind for kind in Problem.every() if kind.__module__.startswith(within)}


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("language", OTHERS)
class TestCatalogue:
    def test_has_words_for_every_problem_and_no_others(self, language: str):
        assert set(catalogue(language)) == set(problems())

    def test_fills_in_what_the_english_does(self, language: str):
        words, english = catalogue(language), problems()
        for code, entry in words.items():
            assert set(entry) - {"reasons"} == {"title", "detail"}, code
            assert entry["title"], code
            assert bool(entry["detail"]) == bool(english[code].detail), code
            assert placeholders(entry["detail"]) == placeholders(english[code].detail), code
            assert not placeholders(entry["title"]), code
            reasons = english[code].reasons
            assert set(entry.get("reasons", {})) == set(reasons), code
            for reason, template in entry.get("reasons", {}).items():
                assert placeholders(template) == placeholders(reasons[reason]), (code, reason)


@pytest.mark.parametrize("language", OTHERS)
class TestPhrases:
    def test_are_all_there_and_fill_in_the_same(self, language: str):
        load_every_module()
        words = json.loads(
            files("undercroft.foundation").joinpath(f"locales/phrases/{language}.json").read_text()
        )
        assert set(words) == set(Phrase.declared)
        for code, phrase in Phrase.declared.items():
            assert placeholders(words[code]) == placeholders(phrase.english), code
            assert words[code] != phrase.english, code


def test_phrases_of_fields_ask_for_what_pydantic_tells():
    told = {found["type"]: set(found.get("example_context") or {}) for found in list_all_errors()}
    for code, phrase in BY_CODE.items():
        assert placeholders(phrase.english) <= told[code], code


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("name", BUNDLED)
class TestApps:
    """An app's words are in its own folder; the bundled ones have all of them."""

    def test_have_words_for_every_problem_and_no_others(self, name: str, language: str):
        app = load_app(name)
        assert app.locales
        words, english = (
            json.loads((app.locales / f"{language}.json").read_text()),
            problems_of(app),
        )
        assert set(words) == set(english)
        for code, entry in words.items():
            assert entry["title"], code
            assert bool(entry["detail"]) == bool(english[code].detail), code
            assert placeholders(entry["detail"]) == placeholders(english[code].detail), code


class TestNegotiate:
    @pytest.mark.parametrize(
        ("header", "language"),
        [
            ("de", "de"),
            ("de-AT,en;q=0.5", "de"),
            ("PT-br", "pt"),
            ("zh-Hant, zh;q=0.9, fr;q=0.2", "fr"),
            ("it;q=0.3, id;q=0.4", "id"),
            ("fr, de", "fr"),
            ("de, fr", "de"),
            ("de;q=0, ar;q=0.1", "ar"),
        ],
    )
    def test_takes_the_best_of_the_header(self, header: str, language: str):
        assert negotiate(header, preferred="es") == language

    @pytest.mark.parametrize(
        "header", [None, "", "*", "zh", "zh, *;q=0.1", ";;;,,q=", "de;q=x", "é"]
    )
    def test_falls_back_to_the_users_language_and_then_to_english(self, header: str | None):
        assert negotiate(header, preferred="es") == "es"
        assert negotiate(header, preferred="es_MX") == "es"
        assert negotiate(header, preferred="tlh") == "en"
        assert negotiate(header) == "en"


class TestTranslateProblem:
    def test_fills_in_the_members(self):
        title, detail, _ = translate_problem(TooManyRequests(30, limit=10), "de")
        assert title == "Zu viele Anfragen"
        assert detail == "Versuchen Sie es in 30 Sekunden erneut."

    def test_speaks_the_english_of_the_class(self):
        assert translate_problem(NotFound(), "en") == (NotFound.title, NotFound.detail, [])

    @pytest.mark.parametrize("language", OTHERS)
    def test_does_not_format_what_a_caller_sent(self, language: str):
        _, detail, _ = translate_problem(MissingPermission("{0.__class__}"), language)
        assert "{0.__class__}" in detail

    @pytest.mark.parametrize("language", ["de", "tlh", "../../etc"])
    def test_falls_back_to_english(self, language: str):
        problem = NotTranslatedYet(reason="now")
        assert translate_problem(problem, language) == ("Only in English", "For now.", [])
