"""How apps join, and how they are refused."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from tests.apps.conftest import Writer, with_apps
from tests.fixtures.app import make_client, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import create_app
from undercroft.foundation.apps import AppSettings, find_apps
from undercroft.foundation.db import Base, migrate
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings, load_settings
from undercroft.server import migrating
from undercroft.server.errors import CannotServe
from undercroft.wings import permissions_of


class TestSwitchingOn:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("catalog", ("catalog",)),
            ("sites, streams ,catalog", ("sites", "streams", "catalog")),
            ('["catalog"]', ("catalog",)),
            ("", ()),
        ],
    )
    def test_takes_a_line_of_names(
        self, line: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("UNDERCROFT_APPS", line)
        assert load_settings(_env_file=None).apps == expected

    async def test_serves_an_app_by_import_path(self, settings: Settings, write: Writer):
        chosen = with_apps(settings, write("garden", prefix="/flowers"))
        async with running(create_app(chosen)) as app, make_client(app) as client:
            answer = await client.get("/api/v1/flowers")
            assert answer.json() == {"it": "works"}
            assert answer.headers["x-content-type-options"] == "nosniff"
            document = (await client.get("/api/v1/openapi.json")).json()
        assert document["paths"]["/api/v1/flowers"]["get"]["operationId"] == "list_garden"

    async def test_what_is_off_is_not_there(self, settings: Settings):
        async with running(create_app(with_apps(settings))) as app, make_client(app) as client:
            assert (await client.get("/api/v1/authors")).status_code == 404

    @pytest.mark.parametrize(
        ("apps", "sentence"),
        [
            (("nowhere",), "there is no app 'nowhere'. Installed: catalog"),
            (("no.such.module",), "'no.such.module' cannot be loaded"),
            (("undercroft.wings:CONTROL",), "is not an App"),
            (("catalog", "catalog"), "two apps are called 'catalog'"),
        ],
    )
    def test_refuses_what_it_cannot_find(
        self, settings: Settings, apps: tuple[str, ...], sentence: str
    ):
        with pytest.raises(SettingsInvalid) as refused:
            find_apps(with_apps(settings, *apps))
        assert sentence in str(refused.value)

    def test_refuses_a_path_that_exists(self, settings: Settings, write: Writer):
        with pytest.raises(SettingsInvalid, match="GET /users, which exists"):
            create_app(with_apps(settings, write("thief", prefix="/users")))

    def test_refuses_two_apps_with_one_path(self, settings: Settings, write: Writer):
        apps = write("first", prefix="/same"), write("second", prefix="/same")
        with pytest.raises(SettingsInvalid, match="'second' declares GET /same, which exists"):
            create_app(with_apps(settings, *apps))

    def test_refuses_an_app_without_the_one_it_needs(self, settings: Settings, write: Writer):
        app = write("roof", more=", requires=('walls',)")
        with pytest.raises(SettingsInvalid, match="'roof' needs 'walls' before it"):
            find_apps(with_apps(settings, app))

    def test_refuses_a_permission_that_exists(self, settings: Settings, write: Writer):
        more = ", permissions=(__import__('undercroft').Permission('users:read', 'Mine.'),)"
        apps = find_apps(with_apps(settings, write("rival", more=more)))
        with pytest.raises(SettingsInvalid, match="'users:read' is declared twice"):
            permissions_of(apps)

    @pytest.mark.parametrize("name", ["Robert'); DROP", "pg_shop", ""])
    def test_refuses_names_that_are_no_schema(self, settings: Settings, write: Writer, name: str):
        with pytest.raises(SettingsInvalid, match="is no name for an app"):
            find_apps(with_apps(settings, write("named", more=f"); App(name={name!r}, package=''")))

    @pytest.mark.parametrize("name", ["auth", "cache", "rate_limits"])
    def test_takes_no_schema_and_no_settings_of_the_platforms(
        self, settings: Settings, write: Writer, name: str
    ):
        with pytest.raises(SettingsInvalid, match=f"'{name}' is a name of the platform's own"):
            find_apps(with_apps(settings, write("taken", name=name)))

    def test_takes_no_command_of_the_platforms(self, settings: Settings, write: Writer):
        app = write("adopted", name="users", more=", commands='adopted:app'")
        with pytest.raises(SettingsInvalid, match="'users' has commands, and is a command"):
            find_apps(with_apps(settings, app))

    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
            ("def broken(:", "SyntaxError: invalid syntax"),
            ("from undercroft import Missing", "cannot import name 'Missing'"),
            (
                "from undercroft import App; App(name='clumsy', package='', webhooks={int: 'x'})",
                "TypeError: int must be a frozen dataclass",
            ),
        ],
    )
    def test_says_where_an_app_fails(self, settings: Settings, write: Writer, code: str, told: str):
        more = "); from clumsy import inside  # noqa\n("
        app = write("clumsy", more=more, files={"inside.py": code})
        with pytest.raises(SettingsInvalid, match="'clumsy:APP' cannot be loaded") as refused:
            find_apps(with_apps(settings, app))
        assert told in str(refused.value)
        assert "clumsy/inside.py" in str(refused.value) or "SyntaxError" in told
        assert "line 1)" in str(refused.value)

    def test_takes_the_one_that_is_named_of_two_packages_with_one_name(
        self, settings: Settings, write: Writer
    ):
        for package in ("onestall", "otherstall"):
            write(package, name="stall", prefix=f"/{package}")
            marks = write.directory / f"{package}-1.0.dist-info"
            marks.mkdir()
            (marks / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n")
            (marks / "entry_points.txt").write_text(f"[undercroft.apps]\nstall = {package}:APP\n")
        with pytest.raises(SettingsInvalid) as refused:
            find_apps(with_apps(settings, "stall"))
        assert "several packages offer an app 'stall'" in str(refused.value)
        assert "onestall:APP or otherstall:APP" in str(refused.value)
        assert find_apps(with_apps(settings, "otherstall:APP"))[0].package == "otherstall"


GREETING = """
from undercroft import SettingsGroup

class Greeting(SettingsGroup):
    words: str = "hello"
    times: int = 1
"""


class TestSettings:
    def test_come_from_the_environment(
        self, settings: Settings, write: Writer, monkeypatch: pytest.MonkeyPatch
    ):
        more = ", settings=__import__('polite.greeting', fromlist=['x']).Greeting"
        app = write("polite", more=more, files={"greeting.py": GREETING})
        monkeypatch.setenv("UNDERCROFT_POLITE__WORDS", "good day")
        apps = find_apps(with_apps(settings, app))
        assert apps[0].settings
        found = AppSettings(apps).of(apps[0].settings)
        assert found.model_dump() == {"words": "good day", "times": 1}
        monkeypatch.setenv("UNDERCROFT_POLITE__TIMES", "often")
        with pytest.raises(SettingsInvalid, match="UNDERCROFT_POLITE__TIMES"):
            AppSettings(apps)


FIRST = '''
"""A table."""
from alembic import op
revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

def upgrade() -> None:
    op.execute("CREATE TABLE shelf.books (id uuid CONSTRAINT pk_books PRIMARY KEY)")

def downgrade() -> None:
    op.execute("DROP TABLE shelf.books")
'''
BOOKS = """
from sqlalchemy import Column, Table, Uuid
from undercroft import Base

Table("books", Base.metadata, Column("id", Uuid, primary_key=True), schema="shelf")
"""


@pytest.fixture
def shelf(
    engines: EngineAddresses, make_database: DatabaseFactory, write: Writer
) -> Iterator[Settings]:
    """Settings of a database of its own, with an app that has a table."""
    more = "); from shelf import models  # noqa\n("
    app = write("shelf", more=more, files={"migrations/0001.py": FIRST, "models.py": BOOKS})
    yield with_apps(engines.settings(make_database()), app)
    Base.metadata.remove(Base.metadata.tables["shelf.books"])


class TestMigrations:
    def test_of_an_app_run_after_the_platforms_in_its_own_schema(self, shelf: Settings):
        migrate.upgrade(shelf)
        app = find_apps(shelf)[0]
        assert migrate.current(shelf, app=app) == "0001"
        assert migrate.history(app) == [("0001", "A table.")]
        assert migrate.check(shelf) == []
        migrate.upgrade(shelf)

    def test_differences_from_the_models_are_found(self, shelf: Settings, engines: EngineAddresses):
        migrate.upgrade(shelf)
        assert shelf.database.url
        name = shelf.database.url.get_secret_value().partition("@/")[2].partition("?")[0]
        engines.execute("ALTER TABLE shelf.books ADD COLUMN stray text", database=name)
        assert "stray" in str(migrate.check(shelf))

    def test_switching_an_app_off_leaves_its_data(self, shelf: Settings):
        migrate.upgrade(shelf)
        app = find_apps(shelf)[0]
        off = with_apps(shelf)
        migrate.upgrade(off)
        assert migrate.check(off) == []
        assert migrate.current(off, app=app) == "0001"

    def test_an_app_does_not_move_into_a_schema_of_somebody_else(
        self, shelf: Settings, engines: EngineAddresses
    ):
        assert shelf.database.url
        name = shelf.database.url.get_secret_value().partition("@/")[2].partition("?")[0]
        engines.execute("CREATE SCHEMA shelf CREATE TABLE mine ()", database=name)
        with pytest.raises(SettingsInvalid, match="The app shelf keeps its tables in a schema"):
            migrate.upgrade(shelf)
        engines.execute("ALTER SCHEMA shelf RENAME TO elsewhere", database=name)
        migrate.upgrade(shelf)
        assert migrate.check(shelf) == []

    def test_taking_an_app_back_to_base_leaves_nothing(self, shelf: Settings):
        migrate.upgrade(shelf)
        migrate.downgrade(shelf, "base", app="shelf:APP")
        assert migrate.current(shelf, app=find_apps(shelf)[0]) is None
        migrate.upgrade(shelf)
        assert migrate.check(shelf) == []

    def test_a_server_that_is_not_ours_is_refused_until_it_is_upgraded(self, shelf: Settings):
        secret = shelf.model_copy(update={"secret_key": SecretStr("s" * 40)})
        with pytest.raises(CannotServe, match="The app shelf is at no revision"):
            migrating._check_revision(secret)


async def test_the_data_api_does_not_show_an_apps_tables(app, service):
    listed = (await service.get("/api/v1/tables?schema=catalog")).json()
    assert listed.get("code") == "schema_not_found" or listed["items"] == []
    assert (await service.get("/api/v1/tables/authors?schema=catalog")).status_code == 404
