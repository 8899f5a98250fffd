"""Connection URLs as hosts of databases hand them out."""

import asyncpg
import pytest
from pydantic import SecretStr

from tests.fixtures.engines import EngineAddresses
from undercroft.foundation.libpq import without_libpq_settings
from undercroft.foundation.settings.engines import DatabaseSettings


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql://h/d?sslmode=require&channel_binding=require", "postgresql://h/d?sslmode=require"),
        ("postgresql://h/d?connect_timeout=5", "postgresql://h/d"),
        ("postgresql://h/d?options=-c%20a%3Db&keepalives=1", "postgresql://h/d?options=-c%20a%3Db"),
    ],
)  # fmt: skip
def test_what_only_libpq_understands_is_taken_out(url: str, left: str):
    assert without_libpq_settings(url) == left


async def test_a_pasted_url_connects(engines: EngineAddresses):
    url = engines.superuser_database_url("postgres")
    pasted = f"{url}{'&' if '?' in url else '?'}channel_binding=prefer&keepalives=1"
    with pytest.raises(asyncpg.UndefinedObjectError):
        await asyncpg.connect(pasted)
    settings = DatabaseSettings(url=SecretStr(pasted))
    assert settings.url is not None
    connection = await asyncpg.connect(settings.url.get_secret_value())
    await connection.close()
