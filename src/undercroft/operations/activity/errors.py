"""What can go wrong around the log."""

from undercroft.foundation.problems import Invalid, NotFound


class ActivityNotFound(NotFound):
    title = "No such activity entry"
    detail = "No entry has this id, or retention took it."


class WindowTooWide(Invalid):
    title = "The time window is too wide for this filter"
    detail = (
        "Without `user_id` or `target_id` a query may span {days} days: set `since` and `until`."
    )

    def __init__(self, days: int) -> None:
        super().__init__(days=days)


class WindowEmpty(Invalid):
    title = "The time window is empty"
    detail = "`since` must be before `until`."
