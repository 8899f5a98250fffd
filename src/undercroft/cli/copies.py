"""Copies of a database by pg_dump and pg_restore."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from undercroft.foundation.embedded import provision
from undercroft.foundation.embedded.errors import EngineFailed

if TYPE_CHECKING:
    from undercroft.foundation.embedded.postgres import PostgresEngine
    from undercroft.foundation.settings import Settings


def dump(settings: "Settings", engine: "PostgresEngine | None", file: Path) -> None:
    _run("pg_dump", _url(settings, engine), engine, "--format=custom", f"--file={file}")


def restore(settings: "Settings", engine: "PostgresEngine | None", file: Path) -> None:
    """All of it or nothing: into a database beside ours, which then takes its place."""
    url = _url(settings, engine)
    name = urlsplit(url).path.strip("/")
    fresh, maintenance = f"{name}_restored", _in_database(url, "postgres")
    owner = f'OWNER "{provision.ROLE}"' if engine else ""
    _sql(maintenance, engine, f'CREATE DATABASE "{fresh}" {owner} TEMPLATE template0')
    try:
        _run("pg_restore", _in_database(url, fresh), engine, "--exit-on-error", str(file))
    except EngineFailed:
        _sql(maintenance, engine, f'DROP DATABASE "{fresh}" WITH (FORCE)')
        raise
    _sql(maintenance, engine, f'DROP DATABASE "{name}" WITH (FORCE)')
    _sql(maintenance, engine, f'ALTER DATABASE "{fresh}" RENAME TO "{name}"')


def run_script(url: str, script: str) -> None:
    """Run SQL at `url` as one transaction."""
    _run("psql", url, None, "-Xq", "--single-transaction", "--set=ON_ERROR_STOP=1", script=script)


def run_pgbench(url: str, engine: "PostgresEngine | None", *options: str) -> str:
    return _run("pgbench", url, engine, *options)


def _url(settings: "Settings", engine: "PostgresEngine | None") -> str:
    # Extensions and event triggers belong to the superuser, where there is one to ask.
    if engine:
        return engine.superuser_url()
    assert settings.database.url
    return settings.database.url.get_secret_value()


def _in_database(url: str, name: str) -> str:
    before, _, query = url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def _sql(url: str, engine: "PostgresEngine | None", statement: str) -> None:
    _run("psql", url, engine, "-Xq", "--set=ON_ERROR_STOP=1", f"--command={statement}")


def _run(
    name: str, url: str, engine: "PostgresEngine | None", *options: str, script: str | None = None
) -> str:
    """Run one of PostgreSQL's programs; return what it prints. Raises `EngineFailed`."""
    address, password = _without_password(url)
    place = address if name == "pgbench" else f"--dbname={address}"
    outcome = subprocess.run(
        [_program(name, url, engine), *options, place],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ({"PGPASSWORD": password} if password else {}),
    )
    if outcome.returncode != 0:
        raise EngineFailed(f"{name} failed: {outcome.stderr.strip()}")
    return outcome.stdout


def _without_password(url: str) -> tuple[str, str | None]:
    """What may stand on a command line, which anyone can read, and what may not."""
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}@{hosts}" if user else hosts
    address = urlunsplit(parts._replace(netloc=netloc))
    return address, unquote(parts.password) if parts.password else None


def _program(name: str, url: str, engine: "PostgresEngine | None") -> str:
    """The bundled one for the bundled server; elsewhere the system's, which can speak TLS.

    The system's may be older than the server, which pg_dump refuses: then the bundled one.
    """
    from undercroft.foundation.embedded.programs import postgres_programs

    bundled = str(postgres_programs() / name)
    found = None if engine else shutil.which(name)
    if found is None or (name == "pg_dump" and _major(found) < _server_major(url)):
        return bundled
    return found


def _major(program: str) -> int:
    """18 for `pg_dump (PostgreSQL) 18.1 (Debian …)`; 0 for what does not say."""
    command = [program, "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(found[1]) if found else 0


def _server_major(url: str) -> int:
    return int(_run("psql", url, None, "-XAt", "--command=SHOW server_version_num")) // 10_000
