"""What apps bring beside routes: probes, events for webhooks, personal data."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.apps.conftest import Writer, with_apps
from tests.fixtures.actors import Caller, register, sign_in, unique
from tests.fixtures.app import SUPERUSER, make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft import App, PersonalData, utc_now
from undercroft.app import Application, create_app
from undercroft.apps.catalog.events import CatalogChanged
from undercroft.foundation.db import migrate
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings
from undercroft.identity.users.erasure import erase_deleted
from undercroft.wings import personal_of

API = "/api/v1"
MOODY = """
async def mood(session):
    raise RuntimeError("in a mood")
"""
KEPT = text(
    "SELECT type, data FROM webhooks.events WHERE organization_id = :id ORDER BY created_at"
)

PAGES = '''
"""A table."""
from alembic import op
revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

def upgrade() -> None:
    op.execute("CREATE TABLE diary.pages (owner uuid REFERENCES auth.users (id), words text)")

def downgrade() -> None:
    op.execute("DROP TABLE diary.pages")
'''
DIARY = """
from undercroft import PersonalData

PERSONAL = (
    PersonalData(
        "diary.pages",
        "pages",
        "SELECT to_jsonb(words) FROM diary.pages WHERE owner = :id",
        erase="DELETE FROM diary.pages WHERE owner = :id",
    ),
)
"""


class TestProbes:
    async def test_are_told_in_their_words(self, admin: Caller):
        health = (await admin.get(f"{API}/health/system")).json()
        found = {probe["name"]: probe for probe in health["apps"]}["catalog.search"]
        assert (found["status"], found["found"]) == ("ok", "trigrams")
        assert found["milliseconds"] > 0
        metrics = (await admin.client.get("/metrics")).text
        assert 'undercroft_up{part="catalog.search"} 1.0' in metrics

    async def test_that_fail_are_down_and_say_nothing(self, settings: Settings, write: Writer):
        more = ", health={'mood': __import__('moody.probes', fromlist=['x']).mood}"
        app = write("moody", more=more, files={"probes.py": MOODY})
        chosen = with_apps(settings, app)
        async with running(create_app(chosen)) as running_app, make_client(running_app) as client:
            superuser = await sign_in(client, SUPERUSER)
            health = await superuser.get(f"{API}/health/system")
            metrics = (await client.get("/metrics")).text
        probe = {"name": "moody.mood", "status": "down", "found": None, "milliseconds": None}
        assert probe in health.json()["apps"]
        assert "in a mood" not in health.text
        assert 'undercroft_up{part="moody.mood"} 0.0' in metrics


class TestWebhooks:
    async def test_can_ask_for_events_of_apps(self, admin: Caller):
        events = (await admin.get(f"{API}/webhooks/events")).json()["items"]
        reported = next(event for event in events if event["type"] == "sites.violation_reported")
        assert "organization_id" in reported["fields"]

    async def test_of_an_organization_hear_of_its_sites(
        self, app: Application, admin: Caller, member: Caller
    ):
        name = unique("org")
        made = await member.post(f"{API}/organizations", json={"name": name, "slug": name})
        organization = made.json()["id"]
        hook = {
            "name": "hook",
            "url": "https://hooks.example.com/in",
            "events": ["sites.*"],
            "organization_id": organization,
        }
        asked = await admin.post(f"{API}/webhooks", json=hook)
        assert asked.status_code == 201, asked.text
        site = await member.post(
            f"{API}/sites", json={"name": "Quay", "organization_id": organization}
        )
        assert site.status_code == 201, site.text
        async with app.parts.database.unit_of_work() as session:
            kept = (await session.execute(KEPT, {"id": organization})).all()
        assert [event.type for event in kept] == ["sites.created"]
        assert kept[0].data["site_id"] == site.json()["id"]


class TestPersonalData:
    async def test_of_apps_is_taken_along_and_erased(self, app: Application, member: Caller):
        name = unique("org")
        made = await member.post(f"{API}/organizations", json={"name": name, "slug": name})
        organization = made.json()["id"]
        site = await member.post(
            f"{API}/sites", json={"name": "Mill", "organization_id": organization}
        )
        added = await member.put(f"{API}/sites/{site.json()['id']}/users/{member.id}")
        assert added.status_code == 200, added.text
        exported = (await member.get(f"{API}/settings/export")).json()
        assert [one["name"] for one in exported["sites"]] == ["Mill"]
        assert "sites.site_users" in {part.table for part in app.control.state.identity.personal}

    async def test_of_an_app_that_is_switched_off_is_neither_kept_back_nor_kept(
        self, diary: Settings
    ):
        insert = text("INSERT INTO diary.pages VALUES (:id, 'Dear diary')")
        async with running(create_app(with_apps(diary))) as app, make_client(app) as client:
            ada, grace = await register(client), await register(client)
            work = app.parts.database.unit_of_work
            async with work() as session:
                await session.execute(insert, [{"id": ada.id}, {"id": grace.id}])
            exported = (await ada.get(f"{API}/settings/export")).json()
            assert exported["pages"] == ["Dear diary"]
            await ada.post(f"{API}/settings/delete-account?confirm=true")
            async with work() as session:
                personal = app.control.state.identity.personal
                assert "diary.pages" not in {part.table for part in personal}
                await erase_deleted(session, personal, before=utc_now() + timedelta(seconds=5))
                left = list(await session.scalars(text("SELECT owner FROM diary.pages")))
        assert [str(owner) for owner in left] == [grace.id]


@pytest.fixture
def diary(engines: EngineAddresses, make_database: DatabaseFactory, write: Writer) -> Settings:
    """A database of its own, upgraded with an app that keeps what people wrote."""
    more = ", personal=__import__('diary.people', fromlist=['x']).PERSONAL"
    app = write("diary", more=more, files={"migrations/0001.py": PAGES, "people.py": DIARY})
    settings = with_apps(make_settings(engines, make_database()), app)
    migrate.upgrade(settings)
    return settings


def _app(name: str, **more: object) -> App:
    return App(name=name, package="tests", **more)  # type: ignore[arg-type]


class TestRefused:
    def test_tables_of_others(self):
        part = PersonalData("auth.users", erase="DELETE FROM auth.users")
        with pytest.raises(ValueError, match=r"not its own: auth\.users"):
            _app("shop", personal=(part,))

    @pytest.mark.parametrize("name", ["user.created", "shop.", "shop.Placed", "shop"])
    def test_events_under_other_names(self, name: str):
        with pytest.raises(ValueError, match=r"are called 'shop\.…'"):
            _app("shop", webhooks={CatalogChanged: name})

    def test_personal_data_under_one_name(self):
        part = PersonalData("shop.orders", "uploads", "SELECT 1", erase="DELETE FROM shop.orders")
        with pytest.raises(SettingsInvalid, match="are called 'uploads'"):
            personal_of((_app("shop", personal=(part,)),))
