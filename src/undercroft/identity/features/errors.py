"""What can go wrong with feature flags."""

from collections.abc import Iterable
from uuid import UUID

from undercroft.foundation.problems import Conflict, Invalid, NotFound


class FeatureNotFound(NotFound):
    title = "No such feature"


class FeatureTaken(Conflict):
    title = "The feature exists already"
    detail = "Another feature has this name."


class UnknownFeatures(Invalid):
    title = "There are no such features"
    detail = "Unknown: {unknown}."

    def __init__(self, unknown: Iterable[str]) -> None:
        super().__init__(unknown=", ".join(sorted(unknown)))


class UnknownGrantees(Invalid):
    """`kind` is organizations, groups or users."""

    title = "Some of those to be granted do not exist"
    detail = "Unknown {kind}: {unknown}."

    def __init__(self, kind: str, unknown: Iterable[UUID | str]) -> None:
        super().__init__(kind=kind, unknown=", ".join(sorted(str(one) for one in unknown)))
