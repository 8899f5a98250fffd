"""The chain: seals over entries, each signed and naming the one before.

An entry is hashed as Postgres shows it in JSON without its nulls, so that a column added later
changes no hash. The signature's key comes from SECRET_KEY, which the database does not hold.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.crypto import Keyring
from undercroft.operations.activity.models import Purge, Seal

PURPOSE = "activity"
GENESIS = bytes(32)
# Of an entry that was gone when its turn came.
ABSENT = bytes(32)
MOST_PER_SEAL = 2_000

# One sealer at a time in the cluster; purges wait for it.
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('undercroft activity seals'))")
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('undercroft activity seals'))")

# Times in an entry's JSON are shown in the session's zone; a pooler's may be another.
IN_UTC = text("SET LOCAL timezone = 'UTC'")
SHOWN = "pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(a))::text"
# By their places in the table: statistics of a queue, which is empty whenever somebody looks, have
# Postgres read all of it for each entry. A place is nobody else's while we hold the lock.
TAKE = text(f"""
    WITH taken AS (
        DELETE FROM operations.activity_unsealed
         WHERE ctid = ANY (ARRAY(SELECT ctid FROM operations.activity_unsealed LIMIT :most))
        RETURNING entry_id, created_at
    )
    SELECT t.entry_id, t.created_at, {SHOWN} AS shown
      FROM taken t
      LEFT JOIN operations.activity a ON a.id = t.entry_id AND a.created_at = t.created_at
     ORDER BY t.entry_id
""")  # noqa: S608 - constant text


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: what somebody who keeps it elsewhere compares later."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Raises ValueError."""
        number, _, digest = text.partition(":")
        return cls(int(number), bytes.fromhex(digest))


async def seal_entries(
    session: AsyncSession, keyring: Keyring, *, now: datetime
) -> tuple[Head, int] | None:
    """Add one seal over waiting entries; (new head, entries), None when there is nothing to do.

    Entries whose transaction has not committed are not seen, and have their turn later.
    """
    if not await session.scalar(TRY_LOCK):
        return None
    await session.execute(IN_UTC)
    rows = (await session.execute(TAKE, {"most": MOST_PER_SEAL})).all()
    if not rows:
        return None
    last = await find_head(session)
    seal = Seal(
        number=last.number + 1,
        sealed_at=now,
        newest_at=max(row.created_at for row in rows),
        entry_ids=[row.entry_id for row in rows],
        entry_hashes=b"".join(hash_of(row.shown) for row in rows),
        previous=last.hash,
    )
    seal.hash = hash_of_seal(seal)
    seal.signature = sign(keyring, seal.hash)
    session.add(seal)
    await session.flush()
    return Head(seal.number, seal.hash), len(rows)


async def find_head(session: AsyncSession) -> Head:
    """The last seal; of an empty chain the anchor that a purge left, or the beginning."""
    statement = select(Seal.number, Seal.hash).order_by(Seal.number.desc()).limit(1)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        anchor = select(Purge.anchor_number, Purge.anchor_hash)
        anchor = anchor.order_by(Purge.anchor_number.desc()).limit(1)
        row = (await session.execute(anchor)).one_or_none()
    return Head(row[0], row[1]) if row else Head(0, GENESIS)


def hash_of(shown: str | None) -> bytes:
    return ABSENT if shown is None else hashlib.sha256(shown.encode()).digest()


def hash_of_seal(seal: Seal) -> bytes:
    """Over everything the seal says; lengths come first, so that no part can pass for another."""
    head = f"{seal.number} {seal.sealed_at.isoformat()} {seal.newest_at.isoformat()}"
    return _digest(head, seal.previous, _joined(seal.entry_ids), seal.entry_hashes)


def hash_of_purge(purge: Purge) -> bytes:
    head = f"{purge.id} {purge.purged_at.isoformat()} {purge.purged_before.isoformat()}"
    return _digest(f"{head} {purge.anchor_number}", purge.anchor_hash)


def sign(keyring: Keyring, digest: bytes) -> bytes:
    return hmac.new(bytes.fromhex(keyring.derive(PURPOSE)), digest, hashlib.sha256).digest()


def is_signed(keyring: Keyring, digest: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(sign(keyring, digest), signature)


def _joined(ids: Sequence[UUID]) -> bytes:
    return b"".join(entry_id.bytes for entry_id in ids)


def _digest(head: str, *parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in (head.encode(), *parts):
        digest.update(len(part).to_bytes(8) + part)
    return digest.digest()
