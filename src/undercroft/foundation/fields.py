"""Types of fields in many domains: what Postgres or JSON cannot hold is refused in a sentence."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime

from undercroft.foundation.phrases import Phrase

NOT_FOR_JSON = Phrase("not_for_json", "Holds what JSON cannot carry, such as very large numbers.")
TOO_LARGE = Phrase("metadata_too_large", "May have at most {max_bytes} bytes as JSON.")
# The driver takes the first and the last moment for infinities, which come back without a zone.
TICK = timedelta(microseconds=1)
FIRST = datetime.min.replace(tzinfo=UTC) + TICK
LAST = datetime.max.replace(tzinfo=UTC) - TICK
MOMENT_IMPOSSIBLE = Phrase("moment_impossible", "Must be a time of the years 1 to 9999 in UTC.")


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC, where a time without a zone is already."""
    try:
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise MOMENT_IMPOSSIBLE.refusal() from error
    return min(max(utc, FIRST), LAST)


def json_within(max_bytes: int) -> AfterValidator:
    """For what callers may fill as they like: JSON must carry it, in so many bytes."""

    def check(value: Any) -> Any:
        try:
            size = len(orjson.dumps(value))
        except (TypeError, ValueError) as error:
            raise NOT_FOR_JSON.refusal() from error
        if size > max_bytes:
            raise TOO_LARGE.refusal(max_bytes=max_bytes)
        return value

    return AfterValidator(check)


# With its zone, and told in UTC whatever the zone was.
Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]
