"""What can go wrong with a one-time code. Nothing here tells whether an account exists."""

from undercroft.foundation.problems import Invalid, TooManyRequests, Unauthorized


class CodeInvalid(Unauthorized):
    title = "The code is not valid"
    detail = "It is wrong, too old, used, or was tried too often. Ask for a new one."


class LinkInvalid(Unauthorized):
    title = "The link is not valid"
    detail = "It is wrong, too old or used. Ask for a new one."


class ChannelMismatch(Invalid):
    title = "This channel does not reach that identifier"
    detail = "Use email for an e-mail address, sms or whatsapp for a phone number."

    def __init__(self) -> None:
        super().__init__(
            errors=[{"pointer": "#/channel", "code": self.code, "detail": self.detail}]
        )


class TooManyCodes(TooManyRequests):
    title = "Too many codes for this identifier"
