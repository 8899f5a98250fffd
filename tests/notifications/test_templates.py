"""Every kind of message says something in every language."""

import tomllib
from importlib.resources import files

import pytest

from undercroft.foundation.languages import LANGUAGES, negotiate
from undercroft.notifications.templates import Kind, render

VALUES = {
    "app": "Undercroft",
    "code": "123456",
    "minutes": 10,
    "link": "https://app.example.com/?token=1&x=2",
    "inviter": "Ada",
    "organization": "Engines & Co",
    "factor": "Ada's phone",
    "device": "Firefox on Linux",
    "address": "192.0.2.7",
    "time": "2026-11-22 12:00 UTC",
}


def words(language: str) -> dict[str, object]:
    source = files("undercroft.notifications.templates").joinpath(f"{language}.toml")
    return tomllib.loads(source.read_text("utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
class TestLanguages:
    @pytest.mark.parametrize("kind", Kind)
    def test_every_kind_can_be_said(self, language: str, kind: Kind):
        content = render(kind, language, VALUES)
        assert content.subject
        assert f'lang="{language}"' in content.html
        assert "{{" not in content.text + content.html + content.short
        assert "Undercroft" in content.text

    def test_has_the_same_sentences_as_english(self, language: str):
        ours, english = words(language), words("en")
        assert ours.keys() == english.keys()
        for kind in Kind:
            assert set(ours[kind]) == set(english[kind])  # type: ignore[call-overload]
            assert len(ours[kind]["lines"]) == len(english[kind]["lines"])  # type: ignore[index]


@pytest.mark.parametrize(
    ("header", "preferred", "expected"),
    [
        (None, None, "en"),
        ("de-AT,de;q=0.9", None, "de"),
        ("xx", "fr", "fr"),
        ("", "tlh", "en"),
        ("ar;q=0.1, es", "it", "es"),
        ("*", "pt", "pt"),
        (";;;,,,q=", None, "en"),
    ],
)
def test_negotiate(header: str | None, preferred: str | None, expected: str):
    assert negotiate(header, preferred) == expected
