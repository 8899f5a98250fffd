"""The migrations make what the models describe."""

from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.foundation.db import migrate
from undercroft.migrations.models import OUR_SCHEMAS


def test_migrations_equal_models(engines: EngineAddresses, make_database: DatabaseFactory):
    """The template began empty and was upgraded to the newest revision."""
    settings = engines.settings(make_database())
    assert "auth" in OUR_SCHEMAS
    assert migrate.check(settings) == []


def test_an_upgraded_database_is_at_the_newest_revision(
    engines: EngineAddresses, make_database: DatabaseFactory
):
    settings = engines.settings(make_database())
    assert migrate.current(settings) == migrate.history()[-1][0]
