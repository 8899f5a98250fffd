"""What is wrong with single fields of a request, in plain words of the caller's language.

The codes are pydantic's, so that clients can tell them apart; many of them say the same thing to a
person.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from undercroft.foundation.languages import ENGLISH
from undercroft.foundation.phrases import Phrase
from undercroft.foundation.problems import Invalid

TIME = Phrase("a_time", "Must be a time such as 2026-11-22T10:00:00Z.")
DATE = Phrase("a_date", "Must be a date such as 2026-11-22.")
WHOLE_NUMBER = Phrase("a_whole_number", "Must be a whole number.")
NUMBER = Phrase("a_number", "Must be a number.")
BOOLEAN = Phrase("a_boolean", "Must be true or false.")
TEXT = Phrase("a_text", "Must be text.")
LIST = Phrase("a_list", "Must be a list.")
OBJECT = Phrase("an_object", "Must be an object with named fields.")
UUID = Phrase("a_uuid", "Must be a UUID.")
CHOICE = Phrase("a_choice", "Must be one of: {expected}.")
TOO_LARGE = Phrase("number_too_large", "The number is too large.")
BY_CODE: Mapping[str, Phrase] = {
    "missing": Phrase("field_required", "This field is required."),
    "extra_forbidden": Phrase("field_unknown", "There is no such field here."),
    "json_invalid": Phrase("not_json", "This is not valid JSON."),
    "string_type": TEXT,
    "string_unicode": TEXT,
    "string_too_short": Phrase("text_too_short", "Needs {min_length} or more characters."),
    "string_too_long": Phrase("text_too_long", "May have at most {max_length} characters."),
    "string_pattern_mismatch": Phrase("text_unlike", "Must look like this: {pattern}"),
    "int_type": WHOLE_NUMBER,
    "int_parsing": WHOLE_NUMBER,
    "int_from_float": WHOLE_NUMBER,
    "int_parsing_size": TOO_LARGE,
    "finite_number": TOO_LARGE,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "decimal_type": NUMBER,
    "decimal_parsing": NUMBER,
    "bool_type": BOOLEAN,
    "bool_parsing": BOOLEAN,
    "list_type": LIST,
    "dict_type": OBJECT,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "too_short": Phrase("list_too_short", "Needs {min_length} or more entries."),
    "too_long": Phrase("list_too_long", "May have at most {max_length} entries."),
    "greater_than": Phrase("above", "Must be more than {gt}."),
    "greater_than_equal": Phrase("at_least", "Must be at least {ge}."),
    "less_than": Phrase("below", "Must be less than {lt}."),
    "less_than_equal": Phrase("at_most", "Must be at most {le}."),
    "literal_error": CHOICE,
    "enum": CHOICE,
    "uuid_type": UUID,
    "uuid_parsing": UUID,
    "datetime_type": TIME,
    "datetime_parsing": TIME,
    "datetime_object_invalid": TIME,
    "datetime_from_date_parsing": TIME,
    "timezone_aware": Phrase("time_without_zone", "Must name its time zone, such as Z."),
    "date_type": DATE,
    "date_parsing": DATE,
    "date_from_datetime_parsing": DATE,
    "date_from_datetime_inexact": DATE,
}


class RequestInvalid(Invalid):
    """A request that does not fit its schema. `code` stays that of the family."""

    code = Invalid.code

    def __init__(self, errors: Iterable[Mapping[str, Any]]) -> None:
        self._found = tuple(errors)
        super().__init__()

    def lines(self, language: str) -> list[dict[str, Any]]:
        return [_line(entry, language) for entry in self._found]


def _line(entry: Mapping[str, Any], language: str) -> dict[str, str]:
    """One error with a JSON pointer (RFC 6901); the input itself is not echoed."""
    where, *path = entry["loc"]
    pointer = "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in path)
    place = "#/" if where == "body" else f"#{where}/"
    return {
        "pointer": place + pointer,
        "code": entry["type"],
        "detail": _detail(entry, language),
    }


def _detail(entry: Mapping[str, Any], language: str) -> str:
    phrase = BY_CODE.get(entry["type"]) or Phrase.declared.get(entry["type"])
    values = dict(entry.get("ctx") or {})
    # A validator of somebody's own may use one of these codes without what the words ask for.
    if phrase is None or not phrase.takes <= set(values):
        return str(entry["msg"]).removeprefix("Value error, ")
    if language != ENGLISH and "expected" in values:
        values["expected"] = values["expected"].replace(" or ", ", ")
    return phrase(language, **values)
