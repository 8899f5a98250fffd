"""Nothing about a person is forgotten when they are: every table that refers to accounts says
what becomes of its rows.
"""

import pytest
from sqlalchemy import text

from tests.fixtures.actors import Caller
from undercroft.app import Application
from undercroft.foundation.apps import find_apps
from undercroft.foundation.db import Base
from undercroft.foundation.personal import PersonalData
from undercroft.foundation.settings import Settings
from undercroft.identity.users.erasure import export_user
from undercroft.migrations.models import OUR_SCHEMAS
from undercroft.wings import PERSONAL

REFERENCES = text("""
    SELECT c.conrelid::regclass::text AS table_name, a.attname AS column_name
      FROM pg_constraint c
      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)
     WHERE c.contype = 'f' AND c.confrelid = 'auth.users'::regclass
     UNION
    SELECT format('%I.%I', n.nspname, t.relname), a.attname
      FROM pg_attribute a
      JOIN pg_class t ON t.oid = a.attrelid AND t.relkind IN ('r', 'p') AND NOT t.relispartition
      JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE n.nspname = ANY(:schemas) AND a.atttypid = 'uuid'::regtype AND NOT a.attisdropped
       AND a.attname IN ('user_id', 'owner_id', 'actor_id', 'created_by', 'updated_by')
     ORDER BY 1, 2
""")
# Who did something to somebody else's row; the account it names is nobody's after the erasure.
NAMES_NOBODY = {
    ("auth.user_groups", "assigned_by"),
    ("auth.invitations", "invited_by"),
}


async def references(app: Application) -> list[tuple[str, str]]:
    async with app.parts.database.unit_of_work() as session:
        rows = await session.execute(REFERENCES, {"schemas": sorted(OUR_SCHEMAS)})
        return [
            (row.table_name, row.column_name)
            for row in rows
            if row.table_name.partition(".")[0] in OUR_SCHEMAS
        ]


async def test_every_table_that_refers_to_accounts_says_what_erasure_does(app: Application):
    declared = {part.table for part in PERSONAL}
    missing = {table for table, _ in await references(app)} - declared
    assert not missing, (
        "Add a PersonalData for each of these tables to your wing and the wing's to PERSONAL in "
        f"app.py: {sorted(missing)}"
    )


def test_our_apps_say_it_of_their_tables(settings: Settings):
    apps = {app.schema: app for app in find_apps(settings)}
    assert set(apps) == {"catalog", "sites", "streams"}
    missing = [
        table.fullname
        for table in Base.metadata.tables.values()
        if (app := apps.get(str(table.schema)))
        and {"user_id", "owner_id", "created_by"} & set(table.columns.keys())
        and table.fullname not in {part.table for part in app.personal}
    ]
    assert missing == []


async def test_declared_tables_exist_and_their_statements_run(app: Application, member: Caller):
    async with app.parts.database.unit_of_work() as session:
        for part in PERSONAL:
            assert await session.scalar(text("SELECT to_regclass(:name)"), {"name": part.table})
        found = await export_user(session, member.id, PERSONAL)  # type: ignore[arg-type]
        assert found["account"]["email"] == member.identifier
    await member.post("/api/v1/settings/delete-account?confirm=true")
    async with app.parts.database.unit_of_work() as session:
        for part in PERSONAL:
            if part.erase:
                values = {"id": member.id, "addresses": [member.identifier]}
                await session.execute(text(part.erase), values)
        kept = {part.table for part in PERSONAL if part.kept_because}
        for table, column in await references(app):
            if table in kept or (table, column) in NAMES_NOBODY:
                continue
            left = text(f'SELECT count(*) FROM {table} WHERE "{column}" = :id')
            assert await session.scalar(left, {"id": member.id}) == 0, (table, column)


def test_the_account_itself_goes_last():
    assert PERSONAL[-1].table == "auth.users"


@pytest.mark.parametrize(
    "wrong",
    [
        {"table": "a.b"},
        {"table": "a.b", "erase": "x", "kept_because": "y"},
        {"table": "a.b", "erase": "x", "name": "y"},
    ],
)
def test_half_a_declaration_is_refused(wrong: dict[str, str]):
    with pytest.raises(ValueError, match=r"a\.b"):
        PersonalData(**wrong)
