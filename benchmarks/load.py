"""wrk as the load generator: constant connections, latency percentiles, one request per line."""

import re
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 16
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Request:
    """What to send. `{n}` in the path becomes a random number from 1 to `numbers`."""

    method: str
    url: str
    path: str
    headers: dict[str, str]
    body: str | None = None
    numbers: int = 1


@dataclass(frozen=True)
class Measured:
    rate: float  # answers a second
    p50: float  # milliseconds
    p99: float
    failed: int


def median(runs: list[Measured]) -> Measured:
    return Measured(
        statistics.median(run.rate for run in runs),
        statistics.median(run.p50 for run in runs),
        statistics.median(run.p99 for run in runs),
        sum(run.failed for run in runs),
    )


def alternate(mine: Request, peer: Request, seconds: int) -> tuple[Measured, Measured]:
    """Medians of three runs each, in turns: a neighbour's noise then falls on both."""
    runs = [(measure(mine, seconds=seconds), measure(peer, seconds=seconds)) for _ in range(3)]
    return median([run[0] for run in runs]), median([run[1] for run in runs])


def wrk() -> str:
    found = shutil.which("wrk")
    if not found:
        raise SystemExit("Install wrk first (Debian: apt-get install wrk).")
    return found


def measure(
    request: Request, *, seconds: int, connections: int = CONNECTIONS, warm_up: int = 1
) -> Measured:
    """Send `request` from all connections as fast as they are answered."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_lua(request))
        script.flush()
        if warm_up:
            _run(request, script.name, warm_up, connections)
        return read(_run(request, script.name, seconds, connections))


def start(request: Request, *, seconds: int, connections: int) -> "subprocess.Popen[str]":
    """The same in the background."""
    script = Path(tempfile.mkstemp(suffix=".lua")[1])
    script.write_text(_lua(request))
    return subprocess.Popen(
        _command(request, str(script), seconds, connections), stdout=subprocess.PIPE, text=True
    )


def finish(process: "subprocess.Popen[str]") -> Measured:
    output, _ = process.communicate()
    return read(output)


def _command(request: Request, script: str, seconds: int, connections: int) -> list[str]:
    threads = min(2, connections)
    options = [f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout=10s"]
    return [wrk(), *options, "-s", script, request.url]


def _run(request: Request, script: str, seconds: int, connections: int) -> str:
    command = _command(request, script, seconds, connections)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _lua(request: Request) -> str:
    headers = "\n".join(f"wrk.headers[{_q(k)}] = {_q(v)}" for k, v in request.headers.items())
    before, _, after = request.path.partition("{n}")
    path = _q(request.path)
    if "{n}" in request.path:
        path = f"{_q(before)} .. math.random(1, {request.numbers}) .. {_q(after)}"
    elif "{n14}" in request.path:
        before, _, after = request.path.partition("{n14}")
        number = f"string.format('%014d', math.random(1, {request.numbers}))"
        path = f"{_q(before)} .. {number} .. {_q(after)}"
    body = _q(request.body) if request.body else "nil"
    return f"""
{headers}
init = function(args) math.randomseed(os.time() + tonumber(tostring({{}}):sub(8)) % 100000) end
request = function() return wrk.format({_q(request.method)}, {path}, nil, {body}) end
"""


def _q(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + plain.replace("\n", "\\n").replace("\r", "\\r") + '"'


def read(output: str) -> Measured:
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])  # type: ignore[index]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output
    )
    return Measured(
        rate,
        _latency(output, "50%"),
        _latency(output, "99%"),
        (int(failed[1]) if failed else 0) + (sum(map(int, errors.groups())) if errors else 0),
    )


def _latency(output: str, line: str) -> float:
    value, unit = re.search(rf"{line}\s+([\d.]+)(us|ms|s)", output).groups()  # type: ignore[union-attr]
    return float(value) * UNITS[unit]
