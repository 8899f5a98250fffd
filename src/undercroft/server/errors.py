"""Why the server could not start. Each text is one sentence for the person at the terminal."""


class CannotServe(Exception):  # noqa: N818 - reads as the sentence it starts
    """Ends `serve` before it answers anything."""
