"""How a session starts: one statement, whatever was shown for it.

After a password it goes together with the news of it, as a transaction by itself, because a storm
of sign-ins is what other requests would wait behind.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.context import current_request
from undercroft.foundation.crypto import new_secret, sha256
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import Part, publish, run_part
from undercroft.identity.auth.devices import Device
from undercroft.identity.auth.errors import InvalidCredentials
from undercroft.identity.auth.events import SessionStarted
from undercroft.identity.auth.gate import FULL, HALF
from undercroft.identity.auth.notices import tell_new_device
from undercroft.identity.auth.sessions import ACCOUNT, FACTORS, SignIn, mint, shown, subject_of
from undercroft.identity.parts import Identity
from undercroft.identity.users.models import User

# The account as it is now: none if it was suspended, got another password, or was paused after
# failures elsewhere, while the hash was made. Its row is written unless somebody changes it this
# moment, such as another sign-in to it: sign-ins that wait for each other to commit wait for
# seconds when there are many. A device is new if no session was of its kind; without any there is
# nothing to compare with.
FIND = f"""
    SELECT {ACCOUNT}, free.now AS noted_at, coalesce(free.now, u.updated_at) AS updated_at,
           coalesce(free.now, u.last_sign_in_at) AS last_sign_in_at,
           $4::uuid AS session_id, $6::jsonb AS amr, $7::text AS aal, $8::text AS origin,
           ARRAY({FACTORS}) AS factors,
           $20 AND u.email_verified_at IS NOT NULL AND u.email IS NOT NULL
               AND EXISTS (SELECT FROM auth.sessions s WHERE s.user_id = u.id)
               AND NOT EXISTS (
                   SELECT FROM auth.sessions s
                    WHERE s.user_id = u.id AND (s.browser, s.os, s.device_type)
                          IS NOT DISTINCT FROM ($13::text, $14::text, $12::text)
               ) AS is_new_device
      FROM (SELECT) AS asked
      LEFT JOIN auth.users u ON u.id = $1 AND u.status IN ('active', 'unverified')
            AND ($2::text IS NULL OR u.password_hash = $2)
            AND NOT EXISTS (
                SELECT FROM auth.sign_in_failures f WHERE f.key = $19 AND f.locked_until > $3)
      LEFT JOIN LATERAL (
           SELECT $3::timestamptz AS now FROM auth.users f WHERE f.id = u.id
              FOR NO KEY UPDATE SKIP LOCKED) AS free ON true
"""  # noqa: S608 - our own columns
BEGIN = """
    INSERT INTO auth.sessions (
           id, user_id, last_used_at, expires_at, amr, aal, origin, address, user_agent,
           device_name, device_type, browser, os, device_id, place)
    SELECT session_id, id, $3, $5, amr, aal, origin, $9, $10,
           $11, $12, $13, $14, $15, $16 FROM step0 WHERE id IS NOT NULL
"""
ISSUE = """
    INSERT INTO auth.refresh_tokens (token_hash, session_id, issued_at)
    SELECT $17, session_id, $3 FROM step0 WHERE id IS NOT NULL
"""
NOTE = """
    UPDATE auth.users u
       SET last_sign_in_at = noted_at, updated_at = noted_at,
           password_hash = CASE WHEN u.password_hash = $2 THEN coalesce($18, u.password_hash)
                                ELSE u.password_hash END
      FROM step0 WHERE u.id = step0.id AND noted_at IS NOT NULL
"""
FORGET_FAILURES = """
    DELETE FROM auth.sign_in_failures USING step0 WHERE key = $19 AND step0.id IS NOT NULL
"""
# Then there is mail to be queued, or nothing to be done.
UNLESS = "SELECT WHERE step0.is_new_device OR step0.id IS NULL"


@dataclass(frozen=True, slots=True)
class WayIn:
    """What let somebody in: `method` is its entry in `amr`; `first` is an account's first sign-in.

    After a password also the hash that it matched, a better one to store in its place, and the key
    of the failures to forget.
    """

    user_id: UUID
    method: str
    first: bool
    aal: str = HALF
    password_hash: str | None = None
    better_hash: str | None = None
    failures: bytes | None = None


async def start_session(
    session: AsyncSession,
    identity: Identity,
    user: User,
    device: Device,
    *,
    method: str,
    now: datetime,
    aal: str = HALF,
) -> SignIn:
    """Open a session for `user`.

    Where the account has a second factor and `aal` says that none was shown, the session is half
    open: its tokens do nothing but finish the sign-in.
    """
    await session.flush()
    way = WayIn(user.id, method, user.last_sign_in_at is None, aal)
    started = await _Start(identity, way, device, now).run_within(session)
    if started is None:
        raise InvalidCredentials
    return started


async def start_by_password(
    session: AsyncSession | None, identity: Identity, way: WayIn, device: Device, *, now: datetime
) -> SignIn | None:
    """As `start_session`, in a transaction of its own where there is no `session`.

    None if the account is no longer what it was when its hash was read.
    """
    start = _Start(identity, way, device, now)
    if session:
        return await start.run_within(session)
    return await start.run_at_once() or await start.run_by_itself()


class _Start:
    """One session to be."""

    def __init__(self, identity: Identity, way: WayIn, device: Device, now: datetime) -> None:
        self._identity = identity
        self._device = device
        self._now = now
        self._refresh = new_secret()
        session_id = new_id()
        self._event = SessionStarted(session_id, way.user_id, way.method, way.aal, first=way.first)
        values = (
            way.user_id,
            way.password_hash,
            now,
            session_id,
            now + identity.settings.refresh_token_lifetime,
            orjson.dumps([shown(way.method, now)]).decode(),
            way.aal,
            device.origin,
            device.address,
            device.user_agent,
            device.name,
            device.type,
            device.browser,
            device.os,
            device.id,
            device.place,
            sha256(self._refresh),
            way.better_hash,
            way.failures,
            identity.settings.tell_new_devices,
        )
        self._change = Part((FIND, BEGIN, ISSUE, NOTE, FORGET_FAILURES), values, unless=UNLESS)

    async def run_at_once(self) -> SignIn | None:
        """None where others than the listeners of a transaction have to hear of it."""
        row = await self._identity.together.run(self._change, self._event)
        return await self._hand_out(row) if row else None

    async def run_by_itself(self) -> SignIn | None:
        async with self._identity.database.unit_of_work() as session:
            signed_in = await self.run_within(session)
            if signed_in and (request := current_request()):
                request.status = request.success  # the log has it before the answer is made
        return signed_in

    async def run_within(self, session: AsyncSession) -> SignIn | None:
        """None where the account may not, or not any more, be signed in to."""
        row = await run_part(session, self._change)
        if row.id is None:
            return None
        if row.is_new_device:
            await tell_new_device(session, self._identity, row, self._device, now=self._now)
        publish(session, self._event)
        return await self._hand_out(row)

    async def _hand_out(self, row: Any) -> SignIn:
        factors = () if row.aal == FULL else tuple(row.factors)
        subject = subject_of(self._identity, row, row, row.id, row.session_id)
        return await mint(self._identity, subject, self._refresh, self._now, row, factors)
