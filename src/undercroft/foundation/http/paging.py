"""The query parameters that every list route takes."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Depends, Query

from undercroft.foundation.db import PageRequest

Counted = Annotated[Literal["exact"] | None, Query(description="`exact` fills `total`, at a cost.")]


async def _page_request(
    limit: Annotated[int, Query(ge=1, le=100, description="Most items to return.")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=1024, description="`next_cursor` of the previous page.")
    ] = None,
    count: Counted = None,
) -> PageRequest:
    return PageRequest(limit, cursor, count == "exact")


def sorted_by(*names: str) -> Any:
    """What `PageQuery` takes, and a `sort` by one of these names."""
    choices = "|".join(names)

    async def request(
        page: Annotated[PageRequest, Depends(_page_request)],
        sort: Annotated[
            str,
            Query(
                pattern=f"^(-?({choices}))?$",
                description=f"{', '.join(names)}; after `-` from the highest.",
                examples=[f"-{names[0]}"],
            ),
        ] = "",
    ) -> PageRequest:
        return replace(page, sort=sort)

    return Depends(request)


def searched_by(where: str) -> Any:
    """A `search` that says what it looks at: "Part of the name."."""
    return Query(max_length=100, description=where)


PageQuery = Annotated[PageRequest, Depends(_page_request)]
