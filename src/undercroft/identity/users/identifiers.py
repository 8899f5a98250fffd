"""The three ways to name an account: e-mail address, phone number, username."""

import re
from dataclasses import dataclass
from typing import Literal

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from undercroft.foundation.problems import Invalid

USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{1,62}[a-z0-9])")
LONGEST = 320
# Names of private networks and test set-ups: mail is delivered there, if only by us.
PRIVATE_DOMAINS = {"local", "localhost", "test"}
SPECIAL_USE_DOMAIN_NAMES[:] = [
    name for name in SPECIAL_USE_DOMAIN_NAMES if name not in PRIVATE_DOMAINS
]


class IdentifierInvalid(Invalid):
    title = "The identifier is not valid"
    detail = (
        "Use an e-mail address, a phone number with its country code (+49 …) or a username of "
        "3 to 64 letters, digits, dots, dashes and underscores."
    )

    def __init__(self) -> None:
        errors = [{"pointer": "#/identifier", "code": self.code, "detail": self.detail}]
        super().__init__(errors=errors)


@dataclass(frozen=True, slots=True)
class Identifier:
    """`kind` is the column of `auth.users`; `value` is what that column stores."""

    kind: Literal["email", "phone", "username"]
    value: str

    @property
    def words(self) -> list[str]:
        """The parts that a password may not contain."""
        return [word for word in re.split(r"[^a-z0-9]+", self.value) if len(word) > 3]


def parse_identifier(text: str) -> Identifier:
    """Tell the kinds apart and normalise. Raises `IdentifierInvalid`."""
    text = text.strip()
    if not text or len(text) > LONGEST or "\x00" in text:
        raise IdentifierInvalid
    if "@" in text:
        return Identifier("email", parse_email(text))
    if text.startswith("+"):
        return Identifier("phone", parse_phone(text))
    return Identifier("username", parse_username(text))


def parse_username(text: str) -> str:
    username = text.strip().lower()
    if not USERNAME.fullmatch(username):
        raise IdentifierInvalid
    return username


def parse_email(text: str) -> str:
    try:
        found = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise IdentifierInvalid from error
    return found.normalized.lower()


def parse_phone(text: str) -> str:
    """E.164, matched exactly from then on."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise IdentifierInvalid from error
    if not phonenumbers.is_possible_number(number):
        raise IdentifierInvalid
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
