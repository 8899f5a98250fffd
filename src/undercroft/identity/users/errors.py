"""What can go wrong with an account."""

from collections.abc import Iterable

from undercroft.foundation.problems import Conflict, Forbidden, Invalid, NotFound


class UserNotFound(NotFound):
    title = "No such user"


class IdentifierTaken(Conflict):
    title = "The identifier is taken"
    detail = "Another account has this e-mail address, phone number or username."


class LastSuperuser(Conflict):
    title = "The last superuser"
    detail = "Somebody must remain who can administer. Promote another account first."


class NotYourself(Conflict):
    title = "Not on your own account"
    detail = "Ask another administrator."


class AboveYou(Forbidden):
    title = "This account has more rights than yours"
    detail = "Only somebody who holds as much may do this to it."


class ProfilePrivate(NotFound):
    title = "No such profile"


class ConfirmationNeeded(Invalid):
    title = "Confirm that you mean it"
    detail = "Send confirm=true. The account ends at once and is erased after {days} days."

    def __init__(self, days: int) -> None:
        super().__init__(days=days)


class StillOwner(Conflict):
    title = "You are the last owner of an organization"
    detail = "Transfer or delete first: {organizations}."

    def __init__(self, organizations: Iterable[str]) -> None:
        super().__init__(organizations=", ".join(organizations))
