"""What an import answers."""

from pydantic import BaseModel, Field


class Imported(BaseModel):
    table: str
    rows: int = Field(description="Rows that were inserted or changed.")
    skipped: int = Field(description="Rows of the file that changed nothing.")
    bytes: int
    seconds: float
