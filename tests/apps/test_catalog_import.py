"""`undercroft catalog import`: every row of a file or none."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from tests.apps.test_catalog import API
from tests.fixtures.actors import unique
from tests.fixtures.engines import SECRET_KEY
from undercroft.cli.main import app as command_line
from undercroft.foundation.settings import Settings

Import = Callable[..., Result]


GOOD = '{"type": "author", "name": "Good Author", "age": 50}'


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Import:
    """`run("rows.csv", text)` writes the file and imports it."""
    assert settings.database.url
    assert settings.cache.url
    environment = {
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "REDIS_URL": settings.cache.url.get_secret_value(),
        "UNDERCROFT_CACHE__PREFIX": settings.cache.prefix,
        "SECRET_KEY": SECRET_KEY,
        "UNDERCROFT_APPS": "catalog",
        "UNDERCROFT_HOME": str(tmp_path / "home"),
    }

    def invoke(name: str, text: str, *options: str, **extra: str) -> Result:
        file = tmp_path / name
        file.write_text(text)
        arguments = ["catalog", "import", str(file), *options]
        return CliRunner().invoke(command_line, arguments, env=environment | extra)

    return invoke


class TestImport:
    def test_a_csv_file_comes_in_whole_and_only_once(self, run: Import):
        name, title = unique("Author"), unique("Movie")
        text = (
            "type,name,age,title,year_of_issue,genre,author,episodes,seasons,description\n"
            f"author,{name},61,,,,,,,\n"
            f'movie,,,{title},1984,Mystery,{name},,,"Two\nlines"\n'
            f"series,,,{title} goes on,,comedy,{name},12,2,\n"
        )
        first = run("rows.csv", text, "--json")
        assert first.exit_code == 0, first.output
        assert json.loads(first.stdout) == {"authors": 1, "movies": 1, "series": 1, "skipped": 0}
        again = run("rows.csv", text, "--json")
        assert json.loads(again.stdout) == {"authors": 0, "movies": 0, "series": 0, "skipped": 3}

    @pytest.mark.parametrize("ending", ["json", "ndjson"])
    def test_so_do_json_files(self, run: Import, ending: str):
        name = unique("Author")
        rows = [
            {"type": "author", "name": name, "age": 50},
            {"type": "movie", "title": "x", "year_of_issue": 2000, "genre": "y", "author": name},
        ]
        lines = [json.dumps(row) for row in rows]
        text = "[\n" + ",\n".join(lines) + "\n]\n" if ending == "json" else "\n".join(lines)
        done = run(f"rows.{ending}", text)
        assert done.exit_code == 0, done.output
        assert "1 authors, 1 movies and 0 series added" in done.output

    @pytest.mark.parametrize(
        ("name", "text", "line"),
        [
            ("a.csv", "type,name,age\nauthor,Good Author,50\nauthor,Bad,5\n", "line 3: age"),
            ("a.csv", "type,name,age\nauthor,Good Author\n", "line 2: 3 columns"),
            ("a.csv", "name,age\nx,1\n", "line 1: the header needs"),
            ("a.csv", "type,name,age\nwriter,Good Author,50\n", "line 2: "),
            ("a.csv", 'type,name,age\nauthor,"broken,50\n', "line 2: "),
            (
                "a.csv",
                "type,title,year_of_issue,genre\nmovie,x,2000,y\n",
                "line 2: name the author",
            ),
            (
                "a.ndjson",
                f"{GOOD}\n{{",
                "line 2: no JSON",
            ),
            ("a.ndjson", "[]\n", "line 1: "),
            (
                "a.json",
                f'[\n{GOOD},\n\n{{"a"}}]',
                "line 4: no JSON",
            ),
            ("a.json", f"[{GOOD}\n{{}}]", "line 2: a comma"),
            ("a.json", f"[{GOOD},\n]", "line 2: no JSON"),
            ("a.json", "{}", "line 1: a JSON file holds"),
            ("a.json", "", "line 1: a JSON file holds"),
            ("a.json", f"[\n{'[' * 100_000}", "line 2: no JSON"),
            ("a.ndjson", f"{GOOD}\n{'[' * 100_000}", "line 2: no JSON"),
            (
                "a.ndjson",
                '{"type": "author", "name": "a\\u0000bc", "age": 50}',
                "line 1: holds a NUL",
            ),
            (
                "a.ndjson",
                '{"type": "author", "name": "ab\\ud800", "age": 50}',
                "line 1: name: ",
            ),
            ("a.csv", 'type,"name\nauthor,Good Author\n', "line 1: "),
            ("a.csv", "type,name,name\nauthor,Good Author,x\n", "line 1: the header names twice"),
            ("a.xml", "<x/>", "must end in .csv"),
        ],
    )
    def test_a_broken_line_is_named_and_nothing_is_imported(
        self, run: Import, name: str, text: str, line: str
    ):
        done = run(name, text)
        assert done.exit_code == 1
        assert line in done.stderr, done.stderr
        assert "nothing was imported" in done.stderr
        assert "Traceback" not in done.output

    def test_an_unknown_author_takes_everything_back(self, run: Import):
        name = unique("Author")
        text = (
            "type,name,age,title,year_of_issue,genre,author\n"
            f"author,{name},61,,,,\n"
            "movie,,,x,1984,y,Nobody At All\n"
        )
        done = run("rows.csv", text)
        assert done.exit_code == 1
        assert "line 3: there is no author Nobody At All" in done.stderr
        assert "1 authors" in run("rows.csv", f"type,name,age\nauthor,{name},61\n").output

    @pytest.mark.parametrize("ending", ["json", "csv"])
    def test_takes_more_authors_than_a_statement_has_parameters(self, run: Import, ending: str):
        name, count = unique("Many"), 40_000
        rows = [{"type": "author", "name": f"{name} {n}", "age": 50} for n in range(count)]
        text = "type,name,age\n" + "".join(f"author,{row['name']},50\n" for row in rows)
        done = run(f"rows.{ending}", json.dumps(rows) if ending == "json" else text, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["authors"] == count

    def test_says_when_the_app_is_off(self, run: Import):
        done = run("a.csv", "type,name,age\nauthor,Good Author,50\n", UNDERCROFT_APPS="")
        assert done.exit_code != 0
        assert "UNDERCROFT_APPS=catalog" in str(done.exception)


async def test_readers_see_an_import_at_once(client: httpx.AsyncClient, run: Import):
    name = unique("Author")

    async def seen() -> list[str]:
        found = (await client.get(f"{API}/authors?search={name}")).json()["items"]
        return [entry["name"] for entry in found if entry["name"] == name]

    assert await seen() == []
    text = f"type,name,age\nauthor,{name},61\n"
    done = await asyncio.to_thread(run, "rows.csv", text)
    assert done.exit_code == 0, done.output
    assert await seen() == [name]
