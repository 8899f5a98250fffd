"""What a person may take along, and what is left of them when they are gone: nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import JobContext, job, publish, schedule
from undercroft.foundation.personal import PersonalData, with_apps_switched_off
from undercroft.identity.users.events import UserErased

BATCH = 100

ADDRESSES = text(
    "SELECT array_remove(ARRAY[email, phone, username]::text[], NULL)"
    " FROM auth.users WHERE id = :id"
)
DUE = text("""
    SELECT id FROM auth.users
     WHERE status = 'deleted' AND erased_at IS NULL AND deleted_at < :before
     ORDER BY deleted_at LIMIT :batch
       FOR UPDATE SKIP LOCKED
""")

# Hashes of secrets are no data about the person, and would be of use to a thief only. The
# account's row stays, since customers' tables refer to it, and names nobody any more.
PERSONAL: tuple[PersonalData, ...] = (
    PersonalData(
        "auth.sessions",
        "sessions",
        "SELECT to_jsonb(s) FROM auth.sessions s WHERE s.user_id = :id ORDER BY s.created_at",
        erase="DELETE FROM auth.sessions WHERE user_id = :id",
    ),
    PersonalData(
        "auth.user_groups",
        "groups",
        "SELECT jsonb_build_object('group', g.codename, 'assigned_at', ug.assigned_at)"
        " FROM auth.user_groups ug JOIN auth.groups g ON g.id = ug.group_id"
        " WHERE ug.user_id = :id ORDER BY g.codename",
        erase="DELETE FROM auth.user_groups WHERE user_id = :id",
    ),
    PersonalData(
        "auth.memberships",
        "organizations",
        "SELECT jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug,"
        " 'role', m.role, 'joined_at', m.joined_at)"
        " FROM auth.memberships m JOIN auth.organizations o ON o.id = m.organization_id"
        " WHERE m.user_id = :id ORDER BY m.joined_at",
        erase="DELETE FROM auth.memberships WHERE user_id = :id",
    ),
    PersonalData(
        "auth.invitations",
        "invitations",
        "SELECT to_jsonb(i) - 'token_hash' FROM auth.invitations i"
        " WHERE i.invited_by = :id OR i.email = ANY(:addresses) ORDER BY i.created_at",
        erase="DELETE FROM auth.invitations WHERE email = ANY(:addresses)",
    ),
    PersonalData(
        "auth.api_keys",
        "api_keys",
        "SELECT to_jsonb(k) - 'token_hash' - 'sealed_token' FROM auth.api_keys k"
        " WHERE k.created_by = :id ORDER BY k.created_at",
        erase="DELETE FROM auth.api_keys WHERE created_by = :id AND token_hash IS NOT NULL",
    ),
    PersonalData(
        "auth.feature_users",
        "features",
        "SELECT jsonb_build_object('name', f.name) FROM auth.feature_users fu"
        " JOIN auth.features f ON f.id = fu.feature_id WHERE fu.user_id = :id ORDER BY f.name",
        erase="DELETE FROM auth.feature_users WHERE user_id = :id",
    ),
    PersonalData(
        "auth.identities",
        "linked_accounts",
        "SELECT to_jsonb(i) FROM auth.identities i WHERE i.user_id = :id ORDER BY i.created_at",
        erase="DELETE FROM auth.identities WHERE user_id = :id",
    ),
    PersonalData(
        "auth.factors",
        "second_factors",
        "SELECT to_jsonb(f) - 'sealed_secret' - 'public_key' - 'credential_id'"
        " FROM auth.factors f WHERE f.user_id = :id ORDER BY f.created_at",
        erase="DELETE FROM auth.factors WHERE user_id = :id",
    ),
    PersonalData(
        "auth.recovery_codes", erase="DELETE FROM auth.recovery_codes WHERE user_id = :id"
    ),
    PersonalData(
        "auth.passkey_challenges", erase="DELETE FROM auth.passkey_challenges WHERE user_id = :id"
    ),
    PersonalData(
        "auth.sign_in_failures", erase="DELETE FROM auth.sign_in_failures WHERE user_id = :id"
    ),
    PersonalData(
        "auth.sign_in_grants", erase="DELETE FROM auth.sign_in_grants WHERE user_id = :id"
    ),
    PersonalData(
        "auth.one_time_secrets",
        "one_time_codes",
        "SELECT to_jsonb(s) - 'secret_hash' FROM auth.one_time_secrets s"
        " WHERE s.user_id = :id ORDER BY s.created_at",
        erase="DELETE FROM auth.one_time_secrets"
        " WHERE user_id = :id OR identifier = ANY(:addresses)",
    ),
    PersonalData(
        "notifications.messages",
        "messages",
        "SELECT to_jsonb(m) - 'sealed_values' FROM notifications.messages m"
        " WHERE m.recipient = ANY(:addresses) ORDER BY m.created_at",
        erase="DELETE FROM notifications.messages WHERE recipient = ANY(:addresses)",
    ),
    PersonalData(
        "auth.users",
        "account",
        "SELECT to_jsonb(u) - 'password_hash' FROM auth.users u WHERE u.id = :id",
        erase="""
            UPDATE auth.users
               SET email = NULL, phone = NULL, username = NULL, password_hash = NULL,
                   first_name = NULL, middle_name = NULL, last_name = NULL, display_name = NULL,
                   country = NULL, gender = NULL, birth_date = NULL, bio = NULL,
                   picture_url = NULL, language = DEFAULT, timezone = DEFAULT, theme = DEFAULT,
                   profile_accessibility = 'private', app_metadata = DEFAULT,
                   user_metadata = DEFAULT, email_verified_at = NULL, phone_verified_at = NULL,
                   last_sign_in_at = NULL, invited_by = NULL, erased_at = now(), updated_at = now()
             WHERE id = :id
        """,
    ),
)


async def export_user(
    session: AsyncSession, user_id: UUID, personal: Sequence[PersonalData]
) -> dict[str, Any]:
    """Everything we keep about a person, by table; `account` is one object."""
    found: dict[str, Any] = {}
    person = await _person(session, user_id)
    for part in await with_apps_switched_off(session, personal):
        if part.name and part.export:
            rows = await session.scalars(text(part.export), person)
            found.setdefault(part.name, []).extend(rows)
    found["account"] = found["account"][0]
    return found


async def erase_deleted(
    session: AsyncSession, personal: Sequence[PersonalData], *, before: datetime
) -> int:
    """Scrub accounts deleted before that time, a batch of them; return how many."""
    values = {"before": before, "batch": BATCH}
    user_ids = list(await session.scalars(DUE, values))
    every = await with_apps_switched_off(session, personal) if user_ids else ()
    for user_id in user_ids:
        person = await _person(session, user_id)
        for part in every:
            if part.erase:
                await session.execute(text(part.erase), person)
        publish(session, UserErased(user_id))
    return len(user_ids)


async def _person(session: AsyncSession, user_id: UUID) -> dict[str, Any]:
    addresses = await session.scalar(ADDRESSES, {"id": user_id})
    return {"id": user_id, "addresses": addresses}


@job("identity.erase_deleted_accounts")
async def erase_deleted_accounts(context: JobContext) -> None:
    """Scrub what is past its grace period, batch by batch, each in a transaction of its own."""
    before = utc_now() - context.settings.auth.erasure_grace
    personal: Sequence[PersonalData] = context.services["identity"].personal
    erased = BATCH
    while erased == BATCH:
        async with context.unit_of_work() as session:
            erased = await erase_deleted(session, personal, before=before)


JOBS = (erase_deleted_accounts,)
SCHEDULES = (schedule(erase_deleted_accounts, cron="20 2 * * *"),)
