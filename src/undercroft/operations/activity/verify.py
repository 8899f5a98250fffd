"""Walks the chain and says where it breaks first (docs/decisions/0024-a-sealed-log.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.crypto import Keyring
from undercroft.operations.activity import seals
from undercroft.operations.activity.entries import time_of
from undercroft.operations.activity.models import UNSEALED, Entry, Purge, Seal
from undercroft.operations.activity.seals import Head

SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
SETTINGS = ("SET LOCAL statement_timeout = 0", "SET LOCAL timezone = 'UTC'")
ENTRIES = text(f"""
    SELECT a.id, {seals.SHOWN} AS shown FROM operations.activity a
     WHERE a.created_at BETWEEN :oldest AND :newest AND a.id = ANY(:ids)
""")  # noqa: S608 - constant text
STRANGER = text("""
    SELECT a.id FROM operations.activity a
     WHERE NOT EXISTS (SELECT FROM operations.activity_unsealed u WHERE u.entry_id = a.id)
       AND a.id NOT IN (SELECT unnest(entry_ids) FROM operations.activity_seals)
     ORDER BY a.id LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Break:
    """The first thing that is not as it was sealed. `seal` is its link in the chain."""

    seal: int
    entry_id: UUID | None
    reason: str


@dataclass(slots=True)
class Verdict:
    """What a walk found. `unsealed` entries have no seal yet, and could be changed unseen."""

    entries: int = 0
    seals: int = 0
    unsealed: int = 0
    oldest_unsealed_at: datetime | None = None
    purged_before: datetime | None = None
    head: Head = field(default_factory=lambda: Head(0, seals.GENESIS))
    broken: Break | None = None


class _Broken(Exception):  # noqa: N818 - ends the walk
    def __init__(self, seal: int, entry_id: UUID | None, reason: str) -> None:
        super().__init__(reason)
        self.found = Break(seal, entry_id, reason)


async def verify_chain(
    session: AsyncSession, keyring: Keyring, *, known: Head | None = None
) -> Verdict:
    """Compare every entry with its seal, every seal with its signature and the one before.

    `known` is a head that was written down elsewhere: a chain that ends before it, or has another
    seal in its place, was cut or forged. Must be the first thing its session does.
    """
    for setting in (SNAPSHOT, *SETTINGS):
        await session.execute(text(setting))
    verdict = Verdict()
    try:
        await _begin(session, keyring, verdict)
        statement = select(Seal).where(Seal.number > verdict.head.number).order_by(Seal.number)
        async for seal in await session.stream_scalars(
            statement, execution_options={"yield_per": 20}
        ):
            await _check_seal(session, keyring, seal, verdict, known)
            session.expunge(seal)
        await _check_end(session, verdict, known)
    except _Broken as broken:
        verdict.broken = broken.found
    return verdict


async def _begin(session: AsyncSession, keyring: Keyring, verdict: Verdict) -> None:
    """Set out from where the last purge left the chain."""
    purges = await session.scalars(select(Purge).order_by(Purge.anchor_number, Purge.purged_at))
    for purge in purges:
        if not seals.is_signed(keyring, seals.hash_of_purge(purge), purge.signature):
            raise _Broken(purge.anchor_number, None, f"the note of purge {purge.id} is not ours")
        verdict.head = Head(purge.anchor_number, purge.anchor_hash)
        if verdict.purged_before is None or purge.purged_before > verdict.purged_before:
            verdict.purged_before = purge.purged_before


async def _check_seal(
    session: AsyncSession, keyring: Keyring, seal: Seal, verdict: Verdict, known: Head | None
) -> None:
    last = verdict.head
    if seal.number != last.number + 1:
        raise _Broken(last.number + 1, None, f"seal {last.number + 1} is missing")
    if seal.previous != last.hash:
        raise _Broken(seal.number, None, f"seal {seal.number} does not follow the one before")
    if seals.hash_of_seal(seal) != seal.hash:
        raise _Broken(seal.number, None, f"seal {seal.number} was changed")
    if not seals.is_signed(keyring, seal.hash, seal.signature):
        reason = f"seal {seal.number} was not made with this SECRET_KEY"
        raise _Broken(seal.number, None, reason)
    if known and known.number == seal.number and known.hash != seal.hash:
        raise _Broken(seal.number, None, f"seal {seal.number} is not the one you know")
    await _check_entries(session, seal, verdict)
    verdict.head = Head(seal.number, seal.hash)
    verdict.seals += 1


async def _check_entries(session: AsyncSession, seal: Seal, verdict: Verdict) -> None:
    shown = await _shown(session, seal.entry_ids)
    for position, entry_id in enumerate(seal.entry_ids):
        sealed = seal.entry_hashes[32 * position : 32 * position + 32]
        if entry_id not in shown:
            if not _was_purged(entry_id, verdict):
                raise _Broken(seal.number, entry_id, f"entry {entry_id} was deleted")
        elif seals.hash_of(shown[entry_id]) != sealed:
            raise _Broken(seal.number, entry_id, f"entry {entry_id} was changed")
        else:
            verdict.entries += 1


async def _shown(session: AsyncSession, ids: list[UUID]) -> Mapping[UUID, str]:
    times = [time_of(entry_id) for entry_id in ids]
    values: dict[str, Any] = {"ids": ids, "oldest": min(times), "newest": max(times)}
    return {row.id: row.shown for row in await session.execute(ENTRIES, values)}


def _was_purged(entry_id: UUID, verdict: Verdict) -> bool:
    return verdict.purged_before is not None and time_of(entry_id) < verdict.purged_before


async def _check_end(session: AsyncSession, verdict: Verdict, known: Head | None) -> None:
    count = select(func.count(), func.min(UNSEALED.c.created_at)).select_from(UNSEALED)
    verdict.unsealed, verdict.oldest_unsealed_at = (await session.execute(count)).one()
    if known and verdict.head.number < known.number:
        reason = f"the chain ends at seal {verdict.head.number}, you know seal {known.number}"
        raise _Broken(verdict.head.number + 1, None, reason)
    total = await session.scalar(select(func.count()).select_from(Entry))
    if total is not None and total != verdict.entries + verdict.unsealed:
        await _find_stranger(session, verdict)


async def _find_stranger(session: AsyncSession, verdict: Verdict) -> None:
    """More entries than seals: one was put in without passing by the sealer."""
    entry_id = await session.scalar(STRANGER)
    if entry_id:
        at = time_of(entry_id).astimezone(UTC).isoformat()
        reason = f"entry {entry_id} of {at} was put in behind the sealer's back"
        raise _Broken(verdict.head.number + 1, entry_id, reason)
