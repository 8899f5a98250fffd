"""Why engines could not start. Each text is one sentence for the person at the terminal."""


class EnginesUnavailable(Exception):  # noqa: N818 - reads as the state it reports
    """The embedded engines cannot run. Ends the command; never shown to a caller of the API."""


class HomeUnusable(EnginesUnavailable):
    """The home directory, or something in it, cannot be used as it is."""


class HomeHeld(EnginesUnavailable):
    """Another process runs on this home."""

    def __init__(self, message: str, *, by_serve: bool) -> None:
        super().__init__(message)
        self.by_serve = by_serve


class EngineFailed(EnginesUnavailable):
    """PostgreSQL or Valkey stopped, or did not answer in time."""
