"""Python, disk, limits, the home and its secrets, the port."""

import os
import platform
import resource
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from undercroft.cli.checks.finding import Finding, Level, finding
from undercroft.foundation.apps import unread_settings
from undercroft.foundation.embedded import Home, HomeLock, lacks_real_secret
from undercroft.foundation.embedded.tuning import machine_memory
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings

GIB = 1024**3
LITTLE_DISK = 2 * GIB
NO_DISK = GIB // 4
FEW_FILES = 4096


def machine_findings(settings: Settings, port: int) -> Iterator[Finding]:
    yield Finding("Undercroft", Level.OK, version("undercroft"))
    yield Finding("Python", Level.OK, platform.python_version())
    cores = os.cpu_count()
    yield Finding("Machine", Level.OK, f"{cores} cores, {machine_memory() / GIB:.1f} GiB of memory")
    yield _open_files()
    yield _names(settings)
    home = Home(settings.home)
    yield _disk(home.root)
    yield from _home(home, settings)
    yield _port(port, home)


def _names(settings: Settings) -> Finding:
    """Settings that nothing reads, which are mostly misspelt."""
    try:
        unread = unread_settings(settings)
    except SettingsInvalid as error:
        return Finding("Settings", Level.FAIL, str(error), "Mend UNDERCROFT_APPS.")
    return finding(
        "Settings",
        " ".join(map(str, unread)) or "every name is one that is read",
        fine=not unread,
        advice="`undercroft settings reference` lists what is read.",
    )


def _open_files() -> Finding:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return finding(
        "Open files",
        limit,
        fine=limit >= FEW_FILES,
        advice=f"Each connection is one: raise the limit (ulimit -n {FEW_FILES * 4}).",
    )


def _disk(path: Path) -> Finding:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    return finding(
        "Disk",
        f"{free / GIB:.1f} GiB free at {existing}",
        fine=free >= LITTLE_DISK,
        advice="Make room: Postgres stops when the disk is full.",
        fatal=free < NO_DISK,
    )


def _home(home: Home, settings: Settings) -> Iterator[Finding]:
    embedded = [
        name
        for name, url in (("Postgres", settings.database.url), ("Valkey", settings.cache.url))
        if url is None
    ]
    yield Finding("Embedded", Level.OK, " and ".join(embedded) or "nothing: both are elsewhere")
    if home.root.exists():
        mode = stat.S_IMODE(home.root.stat().st_mode)
        yield finding(
            "Home",
            f"{home.root}, mode {mode:o}",
            fine=not mode & 0o007,
            advice=f"Others can look into it: chmod o= {home.root}",
        )
    else:
        yield Finding("Home", Level.OK, f"{home.root} does not exist yet")
    yield _secrets(home, settings)


def _secrets(home: Home, settings: Settings) -> Finding:
    if settings.secret_key:
        return Finding("Secret key", Level.OK, "set by SECRET_KEY")
    if settings.database.url is not None:
        advice = "Set SECRET_KEY: the key in a home is known to this machine alone."
        level = Level.FAIL if lacks_real_secret(settings) else Level.WARN
        return Finding("Secret key", level, "not set", advice)
    if not home.secrets_file.exists():
        return Finding("Secret key", Level.OK, "made at the first start, in the home")
    mode = stat.S_IMODE(home.secrets_file.stat().st_mode)
    return finding(
        "Secret key",
        f"in {home.secrets_file}, mode {mode:o}",
        fine=not mode & 0o077,
        advice=f"Others can read it: chmod 600 {home.secrets_file}, then rotate the keys.",
        fatal=True,
    )


def _port(port: int, home: Home) -> Finding:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            holder = HomeLock(home).holder()
            ours = holder is not None and holder.url is not None and f":{port}" in holder.url
            return finding(
                "Port",
                f"{port} is held by {holder}" if ours else f"{port}: {error.strerror}",
                fine=ours,
                advice="Stop what listens there, or choose another with --port.",
            )
    return Finding("Port", Level.OK, f"{port} is free")
