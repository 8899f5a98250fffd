"""Refreshes a second: every request spends a refresh token of its own, as clients do.

The sessions are made by SQL before the clock starts. Beside the rate stands what one refresh costs
in CPU time of the web workers and of Postgres, which a busy machine does not change.
"""

import argparse
import hashlib
import secrets
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks import load
from benchmarks.undercroft import Undercroft

SESSIONS = 40_000
# Connections are opened, statements prepared and caches filled before the clock starts.
WARM_UP, WARM_SECONDS = 8_000, 4
CONNECTIONS = 16
PATH = "/api/v1/auth/refresh"
MAKE = """
BEGIN;
CREATE TEMP TABLE fresh (hash text);
\\copy fresh FROM '{file}'
CREATE TEMP TABLE made AS SELECT decode(hash, 'hex') AS hash, gen_random_uuid() AS id FROM fresh;
INSERT INTO auth.sessions (id, user_id, expires_at, amr)
SELECT id, '{user_id}', now() + interval '1 day', '[]' FROM made;
INSERT INTO auth.refresh_tokens (token_hash, session_id) SELECT hash, id FROM made;
COMMIT;
ANALYZE auth.sessions, auth.refresh_tokens;
"""
LUA = """
local tokens, at = {{}}, 0
local number = 0
function setup(thread) thread:set("offset", number); number = number + 1 end
function init(args)
  local n = 0
  for line in io.lines("{file}") do
    if n % {threads} == offset then tokens[#tokens + 1] = line end
    n = n + 1
  end
end
wrk.headers["Content-Type"] = "application/json"
function request()
  at = at + 1
  return wrk.format("POST", "{path}", nil, '{{"refresh_token":"' .. tokens[at] .. '"}}')
end
"""


def run(console: Console, options: argparse.Namespace) -> None:
    """Measure; print the rate and what one refresh costs."""
    ours = Undercroft(rows=1, workers=options.workers)
    try:
        _measure(console, ours, options.seconds)
    finally:
        ours.close()


def _measure(console: Console, ours: Undercroft, seconds: int) -> None:
    tokens = [secrets.token_urlsafe(32) for _ in range(SESSIONS)]
    with tempfile.TemporaryDirectory() as directory:
        _make_sessions(ours, tokens, Path(directory))
        _spend(ours, tokens[:WARM_UP], WARM_SECONDS, Path(directory))
        before, started = ours.cpu(), time.monotonic()
        measured = _spend(ours, tokens[WARM_UP:], seconds, Path(directory))
        elapsed = time.monotonic() - started
        after = ours.cpu()
    done = measured.rate * elapsed
    python, postgres = (1e6 * (after[i] - before[i]) / done for i in range(2))
    console.print(
        f"{measured.rate:,.0f}/s from {CONNECTIONS} connections, p50 {measured.p50:.1f} ms, "
        f"p99 {measured.p99:.1f} ms, {measured.failed} failed. One costs {python:.0f} µs of Python "
        f"and {postgres:.0f} µs of Postgres: {1e6 / python:,.0f}/s per core of web workers, "
        f"{1e6 / (python + postgres):,.0f}/s per core with the database on it"
    )


def _spend(ours: Undercroft, tokens: list[str], seconds: int, directory: Path) -> load.Measured:
    listed, script, threads = directory / "tokens", directory / "refresh.lua", 2
    listed.write_text("\n".join(tokens) + "\n")
    script.write_text(LUA.format(file=listed, threads=threads, path=PATH))
    command = [load.wrk(), f"-t{threads}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    command += ["-s", str(script), ours.url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return load.read(output)


def _make_sessions(ours: Undercroft, tokens: list[str], directory: Path) -> None:
    hashes = directory / "hashes"
    hashes.write_text("".join(f"{hashlib.sha256(t.encode()).hexdigest()}\n" for t in tokens))
    script = directory / "make.sql"
    script.write_text(MAKE.format(file=hashes, user_id=ours.user_id))
    ours.run_sql_file(script)
