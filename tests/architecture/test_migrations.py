"""The migrations make what the models describe."""

from tests.fixtures.engines import APPS, DatabaseFactory, EngineAddresses
from undercroft.foundation.db import migrate
from undercroft.migrations.models import OUR_SCHEMAS


def test_migrations_equal_models(engines: EngineAddresses, make_database: DatabaseFactory):
    settings = engines.settings(make_database())
    assert "auth" in OUR_SCHEMAS
    assert migrate.check(settings) == []


def test_rights_can_be_undone_and_done_again(
    engines: EngineAddresses, make_database: DatabaseFactory
):
    settings = engines.settings(make_database())
    for app in reversed(APPS):
        migrate.downgrade(settings, "base", app=app)
    migrate.downgrade(settings, "0001")
    migrate.upgrade(settings)
    assert migrate.check(settings) == []
