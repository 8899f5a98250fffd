"""The same statement without us: what the database does when nobody stands before it."""

import tempfile
from pathlib import Path

from undercroft.cli.copies import run_pgbench
from undercroft.foundation.db.logins import developer
from undercroft.foundation.embedded.postgres import PostgresEngine
from undercroft.foundation.settings import Settings

THREADS = 2


class Pgbench:
    """Asks as the owner of customers' tables, whom their policies do not concern."""

    def __init__(self, settings: Settings, engine: PostgresEngine | None) -> None:
        self._url, self._engine = developer(settings).url, engine

    def rate(self, statement: str, *, numbers: int, seconds: int, connections: int) -> float:
        """Transactions a second of one prepared statement; `:n` is a number up to `numbers`."""
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory) / "script.sql"
            script.write_text(f"\\set n random(1, {numbers})\n{statement}\n")
            clients = [f"--client={connections}", f"--jobs={min(THREADS, connections)}"]
            options = ["-n", "-M", "prepared", *clients, f"--time={seconds}", f"--file={script}"]
            said = run_pgbench(self._url, self._engine, *options)
        line = next(line for line in said.splitlines() if line.startswith("tps"))
        return float(line.split()[2])
