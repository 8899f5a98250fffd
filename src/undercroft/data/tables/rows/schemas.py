"""Pages of rows on the wire."""

from typing import Any, NamedTuple

from pydantic import BaseModel


class Wanted(NamedTuple):
    """Which page of which rows, in what order."""

    page: int
    page_size: int
    order_by: list[str]
    filter_column: str | None
    filter_value: str


class PageOfRows(BaseModel):
    total_count: int
    page: int
    page_size: int
    total_pages: int
    columns: list[str]


class RowPage(BaseModel):
    data: list[dict[str, Any]]
    metadata: PageOfRows
