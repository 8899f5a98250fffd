"""The home directory: where everything embedded keeps its files, readable by its owner alone."""

import hashlib
import os
import stat
from pathlib import Path

from undercroft.foundation.embedded.accounts import Account, account_for, let_through
from undercroft.foundation.embedded.errors import HomeUnusable

# sun_path holds 108 bytes with its final zero; the longest name we put in is .s.PGSQL.5432.lock.
LONGEST_SOCKET_DIRECTORY = 107 - len("/.s.PGSQL.5432.lock")


class Home:
    """Paths below one home. `prepare` makes the directories; nothing else here touches the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.postgres = self.root / "postgres"
        self.valkey = self.root / "valkey"
        self.logs = self.root / "logs"
        self.run = self.root / "run"
        self.secrets_file = self.root / "secrets.json"
        self.lock_file = self.root / "lock"

    @property
    def sockets(self) -> Path:
        """Directory of the engines' sockets: `run`, or where it points to."""
        return self.run.resolve() if self.run.is_symlink() else self.run

    @property
    def owner(self) -> Account:
        """Whose home it is; the engines' account may be another."""
        status = self.root.stat()
        return Account(status.st_uid, status.st_gid)

    def make(self) -> None:
        """Create the home itself."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeUnusable(
                f"Cannot create the home {self.root}: {error.strerror}. Choose another with --home."
            ) from error
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise HomeUnusable(
                f"The home {self.root} belongs to another user: start as that user, "
                "or choose another with --home."
            )

    def prepare(self) -> Account:
        """Make every directory; the answer is the account that engines run under."""
        self.make()
        account = account_for(self.postgres)
        self._protect_root(account)
        for directory in (self.valkey, self.logs):
            account.make_directory(directory)
        self._prepare_sockets(account)
        return account

    def _protect_root(self, account: Account) -> None:
        if account.is_ours:
            self.root.chmod(0o700)
            return
        if self.root.stat().st_uid != account.uid:  # engines pass through, their group only
            os.chown(self.root, -1, account.gid)
            self.root.chmod(0o710)
        let_through(account, self.root)

    def _prepare_sockets(self, account: Account) -> None:
        if not self.run.is_symlink() and _fits(self.run):
            account.make_directory(self.run)
            return
        short = _short_directory(self.root)
        _make_private(short, account)
        if self.run.is_symlink() or not self.run.exists():
            self.run.unlink(missing_ok=True)
        else:
            self.run.rename(self.run.with_name("run.unused"))
        self.run.symlink_to(short)


def _fits(directory: Path) -> bool:
    """Whether clients can name sockets in it: short enough, and no comma, which separates hosts."""
    return len(os.fsencode(directory)) <= LONGEST_SOCKET_DIRECTORY and "," not in str(directory)


def _short_directory(root: Path) -> Path:
    """Where sockets go when the home's path is too long; the same for every process of a home."""
    name = f"undercroft-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}"
    candidates = (Path("/run/user") / str(os.getuid()), Path("/run"), Path("/tmp"))  # noqa: S108
    return next(base for base in candidates if os.access(base, os.W_OK | os.X_OK)) / name


def _make_private(directory: Path, account: Account) -> None:
    """Anyone may write to /tmp: accept what is there only if it is a directory of our own."""
    try:
        directory.mkdir(mode=0o700)
        account.own(directory)
    except FileExistsError:
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {os.geteuid(), account.uid}:
            raise HomeUnusable(
                f"{directory} is needed for sockets but belongs to someone else: remove it, "
                "or choose a home with a shorter path."
            ) from None
        account.make_directory(directory)
