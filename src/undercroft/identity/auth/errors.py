"""What can go wrong at sign-in. Nothing here tells whether an account exists."""

from collections.abc import Mapping
from typing import ClassVar

from undercroft.foundation.problems import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from undercroft.foundation.settings import PasswordSettings


class InvalidCredentials(Unauthorized):
    title = "Identifier or password is wrong"
    detail = "Check both and try again."


class InvalidToken(Unauthorized):
    title = "The token is not valid"
    detail = "It is malformed, expired, of the wrong kind, or its session has ended."


class RefreshTokenReused(Unauthorized):
    title = "The refresh token was used before"
    detail = "The session has been ended to protect the account. Sign in again."


class AccountNotActive(Forbidden):
    title = "The account is not active"
    detail = "This account is {account_status}."

    def __init__(self, account_status: str) -> None:
        super().__init__(account_status=account_status)


class SignInLocked(TooManyRequests):
    title = "Too many failed sign-ins"


class HashingBusy(Unavailable):
    title = "Too many sign-ins at once"
    detail = "Try again in a moment."


class PasswordRefused(Invalid):
    """`code` of the single entry in `errors` says which rule; `pointer` which field."""

    title = "The password is not accepted"
    detail = "{reason}"
    reasons: ClassVar[Mapping[str, str]] = {
        "too_short": "Use at least {min_length} characters with lower and upper case, a digit and "
        "a sign, or at least {min_length_any} of any kind.",
        "too_long": "Use at most {max_length} characters.",
        "too_common": "This password is on lists that attackers try first.",
        "contains_identifier": "The password may not contain the name of the account.",
    }

    def __init__(
        self, reason_code: str, limits: PasswordSettings, *, pointer: str = "#/password"
    ) -> None:
        super().__init__(
            reason_code=reason_code,
            min_length=limits.min_length,
            min_length_any=limits.min_length_any,
            max_length=limits.max_length,
            errors=[{"pointer": pointer, "code": reason_code, "detail": ""}],
        )


class WrongPassword(Forbidden):
    title = "The current password is wrong"
    detail = "Nothing was changed."


class PasswordAlreadySet(Conflict):
    title = "The account has a password"
    detail = "Change it with the current one, or ask for a new one."


class RegistrationClosed(Forbidden):
    title = "Registration is closed"
    detail = "Ask an administrator for an account."


class SessionNotFound(NotFound):
    title = "No such session"
