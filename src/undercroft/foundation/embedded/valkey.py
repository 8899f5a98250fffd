"""The bundled Valkey: a cache and a message bus, holding only what we can lose."""

import signal
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil

from undercroft.foundation.embedded.accounts import Account, let_through
from undercroft.foundation.embedded.engine import Engine
from undercroft.foundation.embedded.home import Home
from undercroft.foundation.embedded.logfile import LogFile
from undercroft.foundation.embedded.programs import valkey_program
from undercroft.foundation.embedded.secrets import HomeSecrets
from undercroft.foundation.embedded.tuning import MIB, machine_memory


class ValkeyEngine(Engine):
    name = "Valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, home: Home, secrets: HomeSecrets, account: Account) -> None:
        super().__init__(account, LogFile(home.logs / "valkey.log", account))
        self._directory = home.valkey
        self._socket = home.sockets / "valkey.sock"
        self._pid_file = home.valkey / "valkey.pid"
        self._password = secrets.valkey_password

    def url(self) -> str:
        return f"unix://:{quote(self._password)}@{quote(str(self._socket), safe='/')}"

    def command(self) -> list[str]:
        return [str(valkey_program()), str(self._configuration)]

    def configure(self) -> None:
        let_through(self._account, valkey_program())
        self._account.write_file(self._configuration, self._configured())

    def ready(self) -> bool:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self._socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def leftover(self) -> int | None:
        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(self._pid_file.read_text()))
            # The number may belong to something else by now.
            if process.cwd() == str(self._directory.resolve()):
                return process.pid
        return None

    @property
    def _configuration(self) -> Path:
        return self._directory / "valkey.conf"

    def _configured(self) -> str:
        memory = min(max(machine_memory() // 16, 32 * MIB), 256 * MIB)
        lines = {
            "port": "0",
            "unixsocket": _quoted(self._socket),
            "unixsocketperm": "700",
            "requirepass": self._password,
            "dir": _quoted(self._directory),
            "pidfile": _quoted(self._pid_file),
            # Promises live in PostgreSQL, so nothing is written to disk here.
            "save": '""',
            "appendonly": "no",
            "maxmemory": str(memory),
            # What we cache has an expiry and may go early. Keys without one (locks, counters of
            # revocations) must not vanish silently: then a write fails instead, and we notice.
            "maxmemory-policy": "volatile-lru",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
