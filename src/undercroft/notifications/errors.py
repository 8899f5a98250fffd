"""Why a message did not leave. For workers and the log, never for a caller."""


class NotDelivered(Exception):  # noqa: N818 - it names what happened
    """A carrier refused or did not answer; `is_final` when no further try can help.

    `reason` is stored and logged, so it must not repeat what the carrier says of the content.
    """

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final
