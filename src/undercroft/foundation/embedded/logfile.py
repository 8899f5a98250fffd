"""An engine's log: bounded, with one predecessor kept."""

import logging
import os
import shutil
from pathlib import Path

from undercroft.foundation.embedded.accounts import Account

_log = logging.getLogger(__name__)

LARGEST = 10_000_000


class LogFile:
    def __init__(self, path: Path, account: Account) -> None:
        self.path = path
        self._account = account

    def open(self) -> int:
        """A descriptor for a program's output. Appending, so that `trim` may empty the file."""
        self.trim()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        self._account.own(self.path)
        return descriptor

    def trim(self) -> None:
        """Move what is there aside when it has grown too large, while the program keeps writing."""
        if self.size() > LARGEST:
            try:
                shutil.copy2(self.path, self.path.with_suffix(".log.1"))
            except OSError as error:
                # A disk that is full needs the room more than anybody the lines.
                _log.warning("%s is emptied without a copy: %s", self.path, error)
            os.truncate(self.path, 0)

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def reason_since(self, offset: int) -> str:
        """The line written after `offset` that most likely says why the program stopped."""
        with self.path.open("rb") as file:
            file.seek(offset)
            lines = file.read(100_000).decode(errors="replace").splitlines()
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
        return ([*lines, *fatal] or ["no message"])[-1].strip()
