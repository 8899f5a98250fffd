"""`undercroft doctor`: is everything in order, and what to do where it is not."""

from typing import TYPE_CHECKING, Annotated

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from undercroft.cli.checks import Finding
    from undercroft.foundation.settings import Settings

COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port that `serve` will use.")
    ] = 8000,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check this machine, the database and the cache; exit with 1 when something must change."""
    findings = _examine(settings_for(home), port)
    _print_json(findings) if as_json else _print(findings)
    if any(found.level == "fail" for found in findings):
        raise typer.Exit(1)


def _examine(settings: "Settings", port: int) -> "list[Finding]":
    import asyncio

    from undercroft.cli.checks import Finding, Level
    from undercroft.cli.checks.database import revision_finding
    from undercroft.cli.checks.machine import machine_findings
    from undercroft.cli.checks.sealed import sealed_finding
    from undercroft.foundation.embedded import EnginesUnavailable, lacks_real_secret, open_engines
    from undercroft.foundation.problems import SettingsInvalid

    findings = list(machine_findings(settings, port))
    if lacks_real_secret(settings):
        return findings
    try:
        with open_engines(settings, command="doctor") as filled:
            findings += asyncio.run(_examine_servers(filled))
            if findings[-1].level != Level.FAIL:
                findings.append(revision_finding(filled))
            if findings[-1].level == Level.OK:
                findings.append(asyncio.run(sealed_finding(filled)))
    except (EnginesUnavailable, SettingsInvalid) as error:
        findings.append(Finding("Engines", Level.FAIL, str(error), "Nothing runs before this."))
    return findings


async def _examine_servers(settings: "Settings") -> "list[Finding]":
    from undercroft.cli.checks.cache import cache_finding
    from undercroft.cli.checks.database import database_findings

    cache = await cache_finding(settings.cache)
    return [cache, *[found async for found in database_findings(settings)]]


def _print_json(findings: "list[Finding]") -> None:
    import json
    from dataclasses import asdict

    print(json.dumps([asdict(found) for found in findings], indent=2))


def _print(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    for found in findings:
        level = f"[{COLORS[found.level]}]{found.level:<4}[/]"
        console.print(f"{level}  {found.name:<12} {escape(found.found)}")
        if found.advice:
            console.print(f"{'':<19}{escape(found.advice)}", style="dim")
