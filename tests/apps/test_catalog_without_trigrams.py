"""The catalogue on a server that does not let us have pg_trgm."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, sign_in
from tests.fixtures.app import SUPERUSER, make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import create_app
from undercroft.foundation.db import migrate
from undercroft.foundation.settings import Settings

API = "/api/v1"
# As on a managed server that does not list the extension.
REFUSE = """
    DROP EXTENSION pg_trgm CASCADE;
    CREATE FUNCTION public.refuse_extensions() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE insufficient_privilege; END $$;
    CREATE EVENT TRIGGER refuse_extensions ON ddl_command_start
        WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION public.refuse_extensions();
"""
TITLES = ("Lighthouse", "The lighthouse keeper", "Light 50% off", "Volcano")


@pytest.fixture
def bare(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    name = make_database()
    settings = make_settings(engines, name)
    engines.execute(REFUSE, database=name)
    migrate.downgrade(settings, "base", app="catalog")
    migrate.upgrade(settings)
    return settings


@pytest_asyncio.fixture
async def admin(bare: Settings) -> AsyncIterator[Caller]:
    async with running(create_app(bare)) as app, make_client(app) as client:
        yield await sign_in(client, SUPERUSER)


def test_the_schema_is_what_can_be_had(bare: Settings):
    assert migrate.check(bare) == []


async def test_search_finds_parts_of_words_by_title(admin: Caller):
    author = (await admin.post(f"{API}/authors", json={"name": "Jane Doe", "age": 44})).json()["id"]
    for title in TITLES:
        body = {"title": title, "year_of_issue": 1990, "genre": "drama", "author_id": author}
        assert (await admin.post(f"{API}/movies", json=body)).status_code == 201

    async def found(search: str, **more: str) -> list[str]:
        answer = await admin.get(f"{API}/movies", params={"search": search, **more})
        assert answer.status_code == 200, answer.text
        return [movie["title"] for movie in answer.json()["items"]]

    assert await found("LIGHTHOUSE") == ["Lighthouse", "The lighthouse keeper"]
    assert await found("light", sort="-title") == [
        "The lighthouse keeper", "Lighthouse", "Light 50% off",
    ]  # fmt: skip
    assert await found("lighthousse") == []
    assert await found("50%") == ["Light 50% off"]
    first = (await admin.get(f"{API}/movies", params={"search": "light", "limit": 2})).json()
    rest = await found("light", cursor=first["next_cursor"])
    assert [movie["title"] for movie in first["items"]] + rest == sorted(TITLES[:3])


async def test_health_says_how_it_searches(admin: Caller):
    probes = (await admin.get(f"{API}/health/system")).json()["apps"]
    said = {probe["name"]: probe["found"] for probe in probes}["catalog.search"]
    assert said == "parts of words: the server has no pg_trgm"
