"""What can go wrong with streams."""

from undercroft import Conflict, Forbidden, NotFound


class StreamNotFound(NotFound):
    title = "No such stream"


class StreamNameTaken(Conflict):
    title = "The stream's name is taken"
    detail = "Another stream of the site is called that."


class StreamLimitReached(Forbidden):
    title = "No further stream is allowed"
    detail = "The organization may have {max_allowed_streams} streams."

    def __init__(self, max_allowed_streams: int) -> None:
        super().__init__(max_allowed_streams=max_allowed_streams)
