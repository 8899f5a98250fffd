"""What a person may take along, and what is left of them when they are gone: nothing."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import JobContext, job, publish, schedule
from undercroft.identity.users.events import UserErased

BATCH = 100

# Hashes of secrets are no data about the person, and would be of use to a thief only.
EXPORT = {
    "account": "SELECT to_jsonb(u) - 'password_hash' FROM auth.users u WHERE u.id = :id",
    "sessions": "SELECT to_jsonb(s) FROM auth.sessions s WHERE s.user_id = :id"
    " ORDER BY s.created_at",
    "groups": "SELECT jsonb_build_object('group', g.codename, 'assigned_at', ug.assigned_at)"
    " FROM auth.user_groups ug JOIN auth.groups g ON g.id = ug.group_id"
    " WHERE ug.user_id = :id ORDER BY g.codename",
    "organizations": "SELECT jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug,"
    " 'role', m.role, 'joined_at', m.joined_at)"
    " FROM auth.memberships m JOIN auth.organizations o ON o.id = m.organization_id"
    " WHERE m.user_id = :id ORDER BY m.joined_at",
    "invitations": "SELECT to_jsonb(i) - 'token_hash' FROM auth.invitations i"
    " WHERE i.invited_by = :id OR i.email = (SELECT email FROM auth.users WHERE id = :id)"
    " ORDER BY i.created_at",
    "api_keys": "SELECT to_jsonb(k) - 'token_hash' - 'sealed_token' FROM auth.api_keys k"
    " WHERE k.created_by = :id ORDER BY k.created_at",
    "features": "SELECT jsonb_build_object('name', f.name) FROM auth.feature_users fu"
    " JOIN auth.features f ON f.id = fu.feature_id WHERE fu.user_id = :id ORDER BY f.name",
}

DUE = text("""
    SELECT id FROM auth.users
     WHERE status = 'deleted' AND erased_at IS NULL AND deleted_at < :before
     ORDER BY deleted_at LIMIT :batch
       FOR UPDATE SKIP LOCKED
""")
# The row itself stays: customers' tables refer to it, and it names nobody any more.
ERASE = (
    text("DELETE FROM auth.sessions WHERE user_id = :id"),
    text("DELETE FROM auth.user_groups WHERE user_id = :id"),
    text("DELETE FROM auth.memberships WHERE user_id = :id"),
    text("DELETE FROM auth.feature_users WHERE user_id = :id"),
    text("DELETE FROM auth.api_keys WHERE created_by = :id AND token_hash IS NOT NULL"),
    text("""
        DELETE FROM auth.invitations
         WHERE email = (SELECT email FROM auth.users WHERE id = :id)
    """),
    text("""
        UPDATE auth.users
           SET email = NULL, phone = NULL, username = NULL, password_hash = NULL,
               first_name = NULL, middle_name = NULL, last_name = NULL, display_name = NULL,
               country = NULL, gender = NULL, birth_date = NULL, bio = NULL, picture_url = NULL,
               language = DEFAULT, timezone = DEFAULT, theme = DEFAULT,
               profile_accessibility = 'private', app_metadata = DEFAULT, user_metadata = DEFAULT,
               email_verified_at = NULL, phone_verified_at = NULL, last_sign_in_at = NULL,
               erased_at = now(), updated_at = now()
         WHERE id = :id
    """),
)


async def export_user(session: AsyncSession, user_id: UUID) -> dict[str, Any]:
    """Everything we keep about a person, by table; `account` is one object."""
    found: dict[str, Any] = {}
    for name, sql in EXPORT.items():
        found[name] = list(await session.scalars(text(sql), {"id": user_id}))
    found["account"] = found["account"][0]
    return found


async def erase_deleted(session: AsyncSession, *, before: datetime) -> int:
    """Scrub accounts deleted before that time, a batch of them; return how many."""
    values = {"before": before, "batch": BATCH}
    user_ids = list(await session.scalars(DUE, values))
    for user_id in user_ids:
        for statement in ERASE:
            await session.execute(statement, {"id": user_id})
        publish(session, UserErased(user_id))
    return len(user_ids)


@job("identity.erase_deleted_accounts")
async def erase_deleted_accounts(context: JobContext) -> None:
    """Scrub what is past its grace period, batch by batch, each in a transaction of its own."""
    before = utc_now() - context.settings.auth.erasure_grace
    erased = BATCH
    while erased == BATCH:
        async with context.unit_of_work() as session:
            erased = await erase_deleted(session, before=before)


JOBS = (erase_deleted_accounts,)
SCHEDULES = (schedule(erase_deleted_accounts, cron="20 2 * * *"),)
