"""Writes that hold only while the file is as its caller saw it: If-Match and If-None-Match.

RFC 9110, section 13. The file is looked at in the transaction that changes it, and stays as it is
until that ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from werkzeug.http import parse_etags

from undercroft.storage.wire import Refusal

HELD = text("""
    SELECT blob_id FROM storage.objects WHERE bucket_id = :bucket AND name = :name FOR UPDATE
""")


def not_as_expected() -> Refusal:
    return Refusal(
        412, "PreconditionFailed", "The file is not as If-Match or If-None-Match expects"
    )


@dataclass(frozen=True, slots=True)
class Precondition:
    match: str | None
    none_match: str | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Precondition | None":
        found = cls(headers.get("if-match"), headers.get("if-none-match"))
        return found if found.match is not None or found.none_match is not None else None

    @property
    def wants_none(self) -> bool:
        """Whether there may be no file at all."""
        return self.none_match is not None and parse_etags(self.none_match).star_tag

    async def check(self, session: AsyncSession, bucket: str, name: str) -> None:
        """Raises a `Refusal` unless it holds, and sees to it that it goes on to."""
        blob = await session.scalar(HELD, {"bucket": bucket, "name": name})
        if self.match is not None and not (blob and parse_etags(self.match).contains(blob.hex)):
            raise not_as_expected()
        if self.none_match is None or not blob:
            return
        if parse_etags(self.none_match).contains_weak(blob.hex):
            raise not_as_expected()
