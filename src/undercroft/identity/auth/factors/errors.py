"""What can go wrong with a second factor."""

from undercroft.foundation.problems import Conflict, NotFound, Unauthorized


class SecondFactorInvalid(Unauthorized):
    title = "The second factor is not valid"
    detail = "The code is wrong, was used already, or the passkey is not one of this account."


class FactorNotFound(NotFound):
    title = "No such second factor"


class TooManyFactors(Conflict):
    title = "Too many second factors"
    detail = "An account may have {most}. Remove one first."


class PasskeyRefused(Unauthorized):
    title = "The passkey is not accepted"
    detail = "The ceremony is too old or was used, or the passkey is unknown here. Begin again."
