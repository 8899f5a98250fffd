"""Which account engines run under.

An ordinary user's engines run as that user. PostgreSQL refuses to run as root, so root hands both
engines to an account that can do nothing else.
"""

import logging
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undercroft.foundation.embedded.errors import HomeUnusable

_log = logging.getLogger(__name__)

PREFERRED = "undercroft"
FALLBACKS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def process_options(self) -> dict[str, Any]:
        """Arguments for `subprocess` that start a program under this account."""
        if self.is_ours:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make `path` this account's, when it is not ours."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def make_directory(self, path: Path) -> None:
        """A directory that only this account (and root) can enter."""
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        self.own(path)

    def write_file(self, path: Path, text: str) -> None:
        """Replace a file that only this account can read; a crash leaves the old or the new one."""
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.own(fresh)
        fresh.replace(path)


def account_for(data: Path) -> Account:
    """The account of the engines whose files are, or will be, in `data`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in (PREFERRED, *FALLBACKS):
        if found := _find(name) or (_create(name) if name == PREFERRED else None):
            return Account(found.pw_uid, found.pw_gid)
    raise HomeUnusable(
        "PostgreSQL does not run as root: start Undercroft as an ordinary user, "
        f"or create the account '{PREFERRED}'."
    )


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create(name: str) -> pwd.struct_passwd | None:
    if not (useradd := shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")):
        return None
    arguments = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    made = subprocess.run(
        [useradd, *arguments, "--shell", "/usr/sbin/nologin", name],
        capture_output=True,
        check=False,
    )
    if made.returncode == 0:
        _log.warning("Created the system account %s for the engines.", name)
    return _find(name)


def let_through(account: Account, path: Path) -> None:
    """Let `account` pass through the directories above `path`, but not list them."""
    if account.is_ours:
        return
    for directory in reversed(path.absolute().parents):
        status = directory.stat()
        if not _may_pass(account, status):
            directory.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            _log.warning("Let other accounts pass through %s (o+x) for the engines.", directory)


def _may_pass(account: Account, status: os.stat_result) -> bool:
    if account.uid == status.st_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if account.gid == status.st_gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
