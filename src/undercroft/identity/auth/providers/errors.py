"""What can go wrong when somebody signs in with another party."""

from undercroft.foundation.problems import Conflict, Invalid, NotFound, Unauthorized, Unavailable


class ProviderNotFound(NotFound):
    title = "No such provider"


class ProviderAway(Unavailable):
    title = "The provider does not answer"


class ProviderRefused(Unauthorized):
    title = "The provider did not confirm the sign-in"
    detail = "Begin again."


class FlowInvalid(Unauthorized):
    title = "This sign-in was not begun here"
    detail = "It is too old, was used already, or began in another browser. Begin again."


class RedirectRefused(Invalid):
    title = "The redirect address is not allowed"
    detail = "Use the frontend's address or one of the allowed URLs, and send code_challenge."


class GrantInvalid(Unauthorized):
    title = "The code is not valid"
    detail = "It is too old, was used, or its verifier is wrong."


class AccountExists(Conflict):
    title = "An account has this address"
    detail = "Sign in to it as you used to, confirm its address, then link the provider."


class IdentityTaken(Conflict):
    title = "This identity belongs to another account"


class IdentityNotFound(NotFound):
    title = "No such linked identity"


class LastWayIn(Conflict):
    title = "This is the only way to sign in"
    detail = "Set a password, confirm an address or link another identity first."
