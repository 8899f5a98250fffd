"""What an import answers."""

from pydantic import BaseModel


class Imported(BaseModel):
    table: str
    rows: int
    bytes: int
    seconds: float
