"""What can go wrong with an account."""

from undercroft.foundation.problems import Conflict, Forbidden, NotFound


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
    detail = "Only a superuser may change a superuser."
