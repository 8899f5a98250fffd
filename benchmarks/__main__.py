"""`make bench`: Undercroft beside its peers and limits, in the same minute on the same machine.

`make bench ARGS="rows bulk"` runs some scenarios, `make bench` all. Figures are medians where runs
are short, ours and theirs in turns, because a neighbour's noise then falls on both.
"""

import argparse
import os
import pkgutil
import platform
import time
from importlib import import_module

from rich.console import Console

from benchmarks import scenarios


def main() -> None:
    known = [module.name for module in pkgutil.iter_modules(scenarios.__path__)]
    options = _options(known)
    console = Console(width=118)
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {time.ctime()}"
    )
    for name in options.scenarios or known:
        console.rule(name.replace("_", " "))
        import_module(f"benchmarks.scenarios.{name}").run(console, options)


def _options(known: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*known, []], metavar="scenario")
    parser.add_argument("--seconds", type=int, default=4, help="length of every run")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the table")
    parser.add_argument("--workers", type=int, default=2)
    parser.epilog = f"Scenarios: {', '.join(known)}."
    return parser.parse_args()


if __name__ == "__main__":
    main()
