"""What a failure of the database becomes: an answer that says so, and one line in the log."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.fixtures.actors import Caller, sign_in, unique
from tests.fixtures.app import SUPERUSER, make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import create_app
from undercroft.foundation.db import Database
from undercroft.foundation.db.failures import is_away, told
from undercroft.foundation.http.rendering import problem_for
from undercroft.foundation.settings import Settings

API = "/api/v1"
# What Postgres says when it cannot extend a file.
FULL = """
    CREATE FUNCTION public.be_full() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file "base/1": No space left';
        END $$;
    CREATE TRIGGER be_full BEFORE INSERT ON auth.memberships
        FOR EACH ROW EXECUTE FUNCTION public.be_full();
"""


@pytest.fixture
def full(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    name = make_database()
    settings = make_settings(engines, name)
    engines.execute(FULL, database=name)
    return settings


@pytest_asyncio.fixture
async def on_a_full_disk(full: Settings) -> AsyncIterator[Caller]:
    async with running(create_app(full)) as app, make_client(app) as client:
        yield await sign_in(client, SUPERUSER)


async def test_a_full_disk_is_unavailable_and_leaves_nothing_half_done(on_a_full_disk: Caller):
    name = unique("org")
    refused = await on_a_full_disk.post(f"{API}/organizations", json={"name": name, "slug": name})
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "extend" not in refused.text
    assert int(refused.headers["retry-after"]) > 0
    listed = await on_a_full_disk.get(f"{API}/organizations", params={"all": True, "search": name})
    assert listed.json()["items"] == []
    # Reading goes on.
    assert (await on_a_full_disk.get(f"{API}/users/me")).status_code == 200


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), "starting up"),
        (ConnectionRefusedError(111, "Connection refused"), "refused"),
        (PoolTimeout("QueuePool limit of size 5 reached"), "limit of size 5"),
        (asyncpg.InterfaceError("cannot perform operation: connection is closed"), "is closed"),
        (asyncpg.InterfaceError("the underlying connection has been released"), "released"),
        (
            asyncpg.InternalClientError(
                "cannot switch to state 11; another operation (2) is in progress"
            ),
            "another operation",
        ),
        (FileNotFoundError(2, "No such file or directory"), "No such file"),
    ],
)
def test_an_engine_that_is_away_is_one_line(error: Exception, words: str):
    seen = told(error)
    assert words in seen["cause"]
    assert seen["exc_info"] is False


@pytest.mark.parametrize(
    "error",
    [
        ValueError("ours"),
        FileNotFoundError("ours"),
        FileNotFoundError(2, "No such file or directory", "ours"),
        asyncpg.InternalClientError("ours"),
        asyncpg.UndefinedTableError("ours"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InterfaceError("the server expects 1 argument for this query, 2 passed"),
        # What the driver says of settings, whatever words are in them.
        asyncpg.exceptions.ClientConfigurationError("invalid DSN: 'closed'"),
    ],
)
def test_any_other_failure_shows_where_it_was(error: Exception):
    assert told(error) == {"exc_info": error}


async def test_a_value_that_the_driver_refuses_is_ours(settings: Settings):
    database = Database(settings.database)
    with pytest.raises(DBAPIError) as caught:
        async with database.unit_of_work() as session:
            await session.execute(text("SELECT CAST(:number AS int)"), {"number": "closed"})
    await database.dispose()
    assert not is_away(caught.value)
    assert problem_for(caught.value).status == 500
