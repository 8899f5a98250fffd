"""`undercroft db seed --demo`: a living system, the same one however often."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.fixtures.actors import sign_in
from tests.fixtures.app import make_client, make_settings, running
from tests.fixtures.engines import SECRET_KEY, DatabaseFactory, EngineAddresses
from undercroft.app import create_app
from undercroft.cli.demo import PASSWORD, seed
from undercroft.cli.main import app as command_line
from undercroft.foundation.settings import Settings

API = "/api/v1"


@pytest.fixture
def empty(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    return make_settings(engines, make_database())


async def test_fills_every_domain_and_does_nothing_twice(empty: Settings):
    first = await seed(empty)
    assert first[0].startswith("Made ")
    assert (await seed(empty))[0] == "Everything was there already."
    async with running(create_app(empty)) as app, make_client(app) as client:
        grace = await sign_in(client, "grace@demo.example", PASSWORD)
        assert len((await grace.get(f"{API}/organizations")).json()["items"]) == 1
        sites = (await grace.get(f"{API}/sites")).json()["items"]
        assert [site["name"] for site in sites] == ["Container terminal", "East quay", "Lighthouse"]
        path = f"{API}/sites/{sites[0]['id']}"
        assert (await grace.get(f"{path}/streams")).json()["items"]
        seen = (await grace.get(f"{path}/violations")).json()["items"]
        image = await grace.get(f"{path}/violations/{seen[0]['id']}/image")
        assert image.headers["content-type"] == "image/png"
        assert (await client.get(f"{API}/movies?search=playtime")).json()["items"]
        tasks = (await grace.get("/rest/v1/demo_tasks?done=is.false")).json()
        assert len(tasks) == 2
        file = await client.get("/storage/v1/object/public/demo-files/tasks/lighthouse.md")
        assert file.text.startswith("# The lighthouse")
        ada = await sign_in(client, "ada@demo.example", PASSWORD)
        hooks = (await ada.get(f"{API}/webhooks")).json()["items"]
        assert [hook["is_enabled"] for hook in hooks] == [False]
        live = (await ada.get(f"{API}/realtime/tables")).json()["items"]
        assert "demo_tasks" in {entry["name"] for entry in live}
        assert "live_map" in (await grace.get(f"{API}/features/me")).json()["items"]


def test_asks_before_it_opens_a_production_database(settings: Settings, tmp_path: Path):
    assert settings.database.url
    assert settings.cache.url
    environment = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "REDIS_URL": settings.cache.url.get_secret_value(),
        "SECRET_KEY": SECRET_KEY,
        "UNDERCROFT_HOME": str(tmp_path / "home"),
    }
    done = CliRunner().invoke(command_line, ["db", "seed", "--demo"], env=environment)
    assert done.exit_code == 1
    assert "--yes" in done.output
