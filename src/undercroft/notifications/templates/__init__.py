"""The words of messages: one TOML file per language, one layout for all.

A sentence may hold `{{ name }}`; Jinja2 fills it, escaped where it ends up in HTML.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


class Kind(StrEnum):
    """What a message is about: a table of the language files."""

    ONE_TIME_CODE = "one_time_code"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a kind of message
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    ACCOUNT_EXISTS = "account_exists"
    INVITATION = "invitation"
    CONTACT_CHANGED = "contact_changed"
    SECOND_FACTOR_ADDED = "second_factor_added"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    RECOVERY_CODES_REPLACED = "recovery_codes_replaced"
    NEW_SIGN_IN = "new_sign_in"


@dataclass(frozen=True, slots=True)
class Content:
    """A message in one language. `short` is for SMS; `code` for carriers with own templates."""

    language: str
    subject: str
    text: str
    html: str
    short: str
    code: str | None = None


def render(kind: Kind, language: str, values: Mapping[str, Any]) -> Content:
    """Fill the words of `kind`. Raises `jinja2.UndefinedError` when a value is missing."""
    words = _words(language)
    own = words[kind.value]
    plain, markup = _environments()
    context = {
        "language": language,
        "direction": words["direction"],
        "link": values.get("link"),
        "code": values.get("code"),
        "action": own.get("action"),
    }
    lines = [*own["lines"], words["footer"]]
    filled = [plain.from_string(line).render(values) for line in lines]
    escaped = [Markup(markup.from_string(line).render(values)) for line in lines]  # noqa: S704 - Jinja2 escaped the values
    # A line break in a value must not become a header.
    subject = " ".join(plain.from_string(own["subject"]).render(values).split())
    return Content(
        language=language,
        subject=subject,
        text=plain.get_template("message.txt").render(context, lines=filled),
        html=markup.get_template("message.html").render(context, lines=escaped, subject=subject),
        short=plain.from_string(own["short"]).render(values),
        code=values.get("code"),
    )


@cache
def _words(language: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(f"{language}.toml").read_text("utf-8"))


@cache
def _environments() -> tuple[Environment, Environment]:
    """One for plain text, one that escapes."""
    loader = PackageLoader("undercroft.notifications", "templates")
    plain = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True)  # noqa: S701
    markup = Environment(
        loader=loader, undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    return plain, markup
