"""What can go wrong with webhooks."""

from collections.abc import Iterable

from undercroft.foundation.problems import Conflict, Invalid, NotFound


class WebhookNotFound(NotFound):
    title = "No such webhook"


class DeliveryNotFound(NotFound):
    title = "No such delivery"
    detail = "This webhook has none with that id, or it is older than what is kept."


class WebhookTargetRefused(Invalid):
    title = "This address is not called"
    detail = "Give a public http or https address, without credentials and on a usual port."


class UnknownEventTypes(Invalid):
    title = "There are no such events"
    detail = "Unknown: {unknown}."

    def __init__(self, unknown: Iterable[str]) -> None:
        super().__init__(unknown=", ".join(sorted(unknown)))


class WebhookOrganizationUnknown(Invalid):
    title = "There is no such organization"
    detail = "Or none that this key acts in."


class WatchedTableUnknown(Invalid):
    title = "There is no such table"
    detail = "No table {table} is open to the API."

    def __init__(self, table: str) -> None:
        super().__init__(table=table)


class WatchedColumnUnknown(Invalid):
    title = "There is no such column"
    detail = "Table {table} has no column {column}, so the filter would let nothing through."

    def __init__(self, table: str, column: str) -> None:
        super().__init__(table=table, column=column)


class ChangesNotOfOrganization(Invalid):
    title = "Changes of tables belong to no organization"
    detail = "Leave out the organization or the changes."


class TooManyWebhooks(Conflict):
    title = "There are enough webhooks"
    detail = "At most {most} are kept for one organization."

    def __init__(self, most: int) -> None:
        super().__init__(most=most)


class WebhookDisabledNow(Conflict):
    title = "The webhook is switched off"
    detail = "Switch it on first."
