"""Embedded engines: starting, protecting, recovering."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import valkey

from undercroft.foundation.embedded import (
    EmbeddedEngines,
    EngineFailed,
    EnginesUnavailable,
    Home,
    HomeHeld,
    HomeLock,
    HomeSecrets,
    HomeUnusable,
    open_engines,
)
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings, load_settings

NOBODY = 65534
ENDLESS = """
    WITH RECURSIVE r(n) AS (SELECT 1::bigint UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r"""
AT_WORK = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%RECURSIVE r%'
                   AND state = 'active' AND pid <> pg_backend_pid())"""


@contextmanager
def running(settings: Settings, *, durable: bool = False) -> Iterator[EmbeddedEngines]:
    home = Home(settings.home)
    home.make()
    engines = EmbeddedEngines(home, settings, durable=durable)
    try:
        engines.launch()
        engines.wait_ready()
        yield engines
    finally:
        engines.stop()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "a home with spaces"


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings(home=home, _env_file=None)


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class TestStart:
    async def test_both_engines_answer_at_their_addresses(self, settings: Settings):
        with running(settings) as engines:
            database_url, cache_url = engines.urls()
            assert await ask(database_url, "SHOW wal_level") == "logical"
            with valkey.Valkey.from_url(cache_url) as client:
                assert client.ping()
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}

    async def test_our_role_owns_its_database_and_is_no_superuser(self, settings: Settings):
        with running(settings) as engines:
            url, _ = engines.urls()
            owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'undercroft'"
            assert await ask(url, owner) == "undercroft"
            attributes = """
                SELECT array[rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls]
                FROM pg_roles WHERE rolname = current_user"""
            assert await ask(url, attributes) == [False, True, True, True, True]

    async def test_extensions_are_ready_in_their_schema(self, settings: Settings):
        with running(settings) as engines:
            found = """
                SELECT array_agg(extname::text) FROM pg_extension
                WHERE extnamespace = 'extensions'::regnamespace"""
            names = set(await ask(engines.urls()[0], found))
        assert names >= {"pg_trgm", "btree_gin", "unaccent", "citext", "hstore"}
        assert names >= {"pg_stat_statements", "vector"}

    async def test_a_second_start_keeps_what_was_written(self, settings: Settings):
        with running(settings) as engines:
            first = engines.urls()
            await ask(first[0], "CREATE TABLE kept AS SELECT 7 AS answer")
        with running(settings) as engines:
            assert engines.urls() == first
            assert await ask(first[0], "SELECT answer FROM kept") == 7

    async def test_a_password_is_needed_on_both_sockets(self, settings: Settings):
        with running(settings) as engines:
            database_url, cache_url = engines.urls()
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(database_url, password="wrong")
            socket = cache_url.rpartition("@")[2].replace("%20", " ")
            with (
                valkey.Valkey(unix_socket_path=socket) as client,
                pytest.raises(valkey.exceptions.AuthenticationError),
            ):
                client.ping()

    async def test_a_path_too_long_for_a_socket_gets_a_short_private_directory(
        self, tmp_path: Path
    ):
        long = tmp_path / ("a" * 60) / ("b" * 60)
        settings = load_settings(home=long, _env_file=None)
        with running(settings) as engines:
            assert await ask(engines.urls()[0], "SELECT 1") == 1
            sockets = (long / "run").readlink()
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        sockets.rmdir()

    async def test_only_the_engine_that_has_no_address_is_started(self, home: Path):
        settings = load_settings(home=home, cache={"url": "redis://elsewhere:6379"}, _env_file=None)
        with running(settings) as engines:
            database_url, cache_url = engines.urls()
            assert cache_url is None
            assert await ask(database_url, "SELECT 1") == 1
        assert not list((home / "valkey").iterdir())


class TestProtection:
    def test_files_are_closed_to_others(self, settings: Settings, home: Path):
        with running(settings):
            for path in home.rglob("*"):
                mode = stat.S_IMODE(path.lstat().st_mode)
                # A link has no mode of its own; the short directory it names is checked above.
                if path.is_symlink():
                    continue
                if path.parent == home or path.suffix in {".conf", ".json", ".log"}:
                    assert mode & 0o007 == 0, path
            assert stat.S_IMODE(home.stat().st_mode) & 0o007 == 0
            assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600

    def test_passwords_are_not_on_a_command_line(self, settings: Settings, home: Path):
        with running(settings) as engines:
            secrets = json.loads((home / "secrets.json").read_text()).values()
            for engine in engines.running:
                line = " ".join(psutil.Process(engine.pid).cmdline())
                assert not [secret for secret in secrets if secret in line]

    def test_a_home_that_lost_its_secrets_says_so(self, settings: Settings, home: Path):
        with running(settings):
            pass
        (home / "secrets.json").unlink()
        with pytest.raises(HomeUnusable, match=r"secrets\.json is missing"):
            EmbeddedEngines(Home(home), settings)

    def test_secrets_do_not_show_in_a_representation(self):
        made = HomeSecrets.generate()
        assert made.secret_key not in repr(made)

    def test_a_cluster_of_another_version_is_left_alone(self, settings: Settings, home: Path):
        with running(settings):
            pass
        (home / "postgres" / "PG_VERSION").write_text("15\n")
        with pytest.raises(HomeUnusable, match=r"written by PostgreSQL 15 .* brings 18"):
            EmbeddedEngines(Home(home), settings).launch()

    def test_a_wrong_line_of_configuration_is_reported(self, settings: Settings, home: Path):
        with running(settings):
            pass
        with (home / "postgres" / "postgresql.conf").open("a") as configuration:
            configuration.write("work_mem = 'plenty'\n")
        with pytest.raises(EngineFailed, match=r"did not start: .*FATAL"), running(settings):
            pass


class TestLock:
    def test_the_second_holder_learns_who_is_first(self, home: Path):
        Home(home).make()
        with HomeLock(Home(home)) as first, HomeLock(Home(home)) as second:
            first.acquire("serve")
            first.announce("http://127.0.0.1:8000")
            with pytest.raises(HomeHeld) as held:
                second.acquire("serve")
        assert f"pid {os.getpid()}" in str(held.value)
        assert "http://127.0.0.1:8000" in str(held.value)

    def test_a_holder_that_died_holds_nothing(self, home: Path):
        Home(home).make()
        child = os.fork()
        if child == 0:
            HomeLock(Home(home)).acquire("serve")
            os._exit(0)
        os.waitpid(child, 0)
        with HomeLock(Home(home)) as lock:
            lock.acquire("serve")


class TestRecovery:
    async def test_a_killed_postgres_keeps_what_was_committed(self, settings: Settings):
        with running(settings, durable=True) as engines:
            url, _ = engines.urls()
            await ask(url, "CREATE TABLE kept AS SELECT 7 AS answer")
            busy = asyncio.create_task(ask(url, ENDLESS))
            while not await ask(url, AT_WORK):
                pass
            os.kill(engines.postgres.pid, signal.SIGKILL)
            wait_until(lambda: not engines.postgres.alive(), "PostgreSQL is dead")
            # Nor is the session waited for that never looks up from its statement.
            there = settings.home / "postgres"
            bystander = await asyncio.create_subprocess_exec("sleep", "60", cwd=there)
            engines.postgres.launch()
            engines.postgres.wait_ready()
            bystander.kill()
            assert await bystander.wait() == -signal.SIGKILL  # and of nothing before
            assert await ask(url, "SELECT answer FROM kept") == 7
            with pytest.raises((OSError, asyncpg.PostgresError)):
                await busy

    def test_a_killed_valkey_comes_back_empty(self, settings: Settings):
        with running(settings) as engines:
            os.kill(engines.valkey.pid, signal.SIGKILL)
            wait_until(lambda: not engines.valkey.alive(), "Valkey is dead")
            engines.valkey.launch()
            engines.valkey.wait_ready()
            with valkey.Valkey.from_url(engines.valkey.url()) as client:
                assert client.dbsize() == 0

    def test_engines_end_with_the_process_that_started_them(self, home: Path):
        pids = start_and_be_killed(home)
        wait_until(lambda: not any(map(runs, pids)), "the engines ended")

    async def test_engines_left_behind_are_replaced(self, settings: Settings, home: Path):
        pids = start_and_be_killed(home, orphan=True)
        with running(settings) as engines:
            assert not any(map(runs, pids))
            assert await ask(engines.urls()[0], "SELECT 1") == 1


class TestOpenEngines:
    async def test_a_command_brings_its_own_engines_up_and_down(
        self, settings: Settings, home: Path
    ):
        with open_engines(settings) as filled:
            assert await ask(filled.database.url.get_secret_value(), "SELECT 1") == 1
            assert filled.cache.url
            secret = HomeSecrets.read(Home(home)).secret_key
            assert filled.secret_key.get_secret_value() == secret
        assert not (home / "postgres" / "postmaster.pid").exists()

    async def test_a_command_borrows_the_engines_of_a_running_serve(
        self, settings: Settings, home: Path
    ):
        Home(home).make()
        with HomeLock(Home(home)) as lock:
            lock.acquire("serve")
            with running(settings) as engines:
                with open_engines(settings) as filled:
                    assert filled.database.url.get_secret_value() == engines.urls()[0]
                assert engines.postgres.alive()

    def test_nothing_starts_when_both_addresses_are_set(self, home: Path):
        settings = load_settings(
            home=home,
            database={"url": "postgresql://elsewhere/x"},
            cache={"url": "redis://elsewhere"},
            _env_file=None,
        )
        with open_engines(settings) as filled:
            assert filled.database == settings.database
            assert filled.secret_key is not None
        assert not (home / "postgres").exists()

    def test_production_elsewhere_needs_a_secret_key(self, home: Path):
        settings = load_settings(
            home=home,
            environment="production",
            database={"url": "postgresql://elsewhere/x"},
            _env_file=None,
        )
        with pytest.raises(SettingsInvalid, match="SECRET_KEY is missing"), open_engines(settings):
            pass

    def test_a_home_that_cannot_be_made_is_one_sentence(self, settings: Settings, home: Path):
        home.write_text("in the way")
        with pytest.raises(EnginesUnavailable, match="Cannot create"), open_engines(settings):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="changes user, which only root can")
class TestAccounts:
    def test_root_hands_the_engines_to_another_account(self, settings: Settings, home: Path):
        with running(settings) as engines:
            for engine in engines.running:
                assert psutil.Process(engine.pid).uids().real != 0
        assert (home / "secrets.json").stat().st_uid == 0

    def test_an_ordinary_user_runs_them_itself(self, home: Path):
        home.mkdir(parents=True)
        os.chown(home, NOBODY, NOBODY)
        let_pass(home)
        child = os.fork()
        if child == 0:
            try:
                as_nobody(home)
            except BaseException:  # noqa: BLE001 - nothing may run on in this copy of pytest
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert (home / "secrets.json").stat().st_uid == NOBODY
        assert (home / "postgres").stat().st_uid == NOBODY

    def test_root_continues_a_home_of_an_ordinary_user_as_that_user(self, home: Path):
        self.test_an_ordinary_user_runs_them_itself(home)
        with running(load_settings(home=home, _env_file=None)) as engines:
            assert psutil.Process(engines.postgres.pid).uids().real == NOBODY


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_and_be_killed(home: Path, *, orphan: bool = False) -> list[int]:
    """Process ids of engines whose parent was killed; `orphan` lets them survive it."""
    script = f"""
import os, signal, sys
from pathlib import Path
from undercroft.foundation.embedded import EmbeddedEngines, Home, engine
from undercroft.foundation.settings import load_settings
if {orphan}:
    engine._libc = None
home = Home(Path({str(home)!r}))
home.make()
engines = EmbeddedEngines(home, load_settings(home=home.root, _env_file=None), durable=False)
engines.launch()
engines.wait_ready()
print(*(engine.pid for engine in engines.running), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    outcome = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False
    )
    assert outcome.returncode == -signal.SIGKILL
    return [int(pid) for pid in outcome.stdout.split()]


def let_pass(path: Path) -> None:
    for parent in path.parents:
        parent.chmod(stat.S_IMODE(parent.stat().st_mode) | stat.S_IXOTH)


def as_nobody(home: Path) -> None:
    """Give up root, then start and stop engines."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    with running(load_settings(home=home, _env_file=None)) as engines:
        for engine in engines.running:
            assert psutil.Process(engine.pid).uids().real == NOBODY
