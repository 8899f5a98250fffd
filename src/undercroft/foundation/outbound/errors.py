"""Why a call did not bring an answer. None of them says which address a name led to."""


class OutboundError(Exception):
    """A call that failed; `reason` is short, stable and safe to show to who chose the target."""

    reason = "failed"


class TargetRefused(OutboundError):  # noqa: N818 - they name what happened
    """We do not call this address, whoever asks. Another try changes nothing."""

    reason = "target_refused"


class TargetUnreachable(OutboundError):  # noqa: N818
    """No such name, no connection, broken TLS, broken HTTP."""

    reason = "unreachable"


class TargetSilent(OutboundError):  # noqa: N818
    """It did not finish in time."""

    reason = "timed_out"


class AnswerTooLarge(OutboundError):  # noqa: N818
    """More bytes than we take, counted after decompression."""

    reason = "answer_too_large"


class TooManyRedirects(OutboundError):  # noqa: N818
    """Sent on more often than we go along."""

    reason = "too_many_redirects"
