"""The bundled PostgreSQL: its cluster, its configuration, its address."""

import shutil
import signal
import subprocess
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import psutil

from undercroft.foundation.embedded import provision, tuning
from undercroft.foundation.embedded.accounts import Account, let_through
from undercroft.foundation.embedded.engine import Engine, end_process
from undercroft.foundation.embedded.errors import EngineFailed, HomeUnusable
from undercroft.foundation.embedded.home import Home
from undercroft.foundation.embedded.logfile import LogFile
from undercroft.foundation.embedded.programs import postgres_major, postgres_programs
from undercroft.foundation.embedded.secrets import HomeSecrets

SUPERUSER = "postgres"
_WHO_MAY_CONNECT = "local all all scram-sha-256\nlocal replication all scram-sha-256\n"


class PostgresEngine(Engine):
    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # a "fast" shutdown: sessions end, nothing is lost

    def __init__(
        self,
        home: Home,
        secrets: HomeSecrets,
        account: Account,
        *,
        connections: int,
        durable: bool = True,
    ) -> None:
        super().__init__(account, LogFile(home.logs / "postgres.log", account))
        self._data = home.postgres
        self._sockets = home.sockets
        self._secrets = secrets
        self._connections = connections
        self._durable = durable

    def url(self) -> str:
        """Where Undercroft's own role connects."""
        return self._url(provision.ROLE, self._secrets.postgres_password, provision.DATABASE)

    def superuser_url(self, database: str = provision.DATABASE) -> str:
        return self._url(SUPERUSER, self._secrets.postgres_superuser_password, database)

    def command(self) -> list[str]:
        return [str(postgres_programs() / "postgres"), "-D", str(self._data)]

    def configure(self) -> None:
        self._end_orphans()
        let_through(self._account, postgres_programs() / "postgres")
        if not (self._data / "PG_VERSION").exists():
            self._create_cluster()
        self._check_version()
        settings = tuning.tuned(
            tuning.machine_memory(), connections=self._connections, durable=self._durable
        )
        # Quoted twice: as a path in a list, and as a value in the file.
        listed = '"' + str(self._sockets).replace('"', '""') + '"'
        settings |= {"unix_socket_directories": listed, "unix_socket_permissions": "0700"}
        self._account.write_file(self._data / "undercroft.conf", tuning.as_configuration(settings))

    def ready(self) -> bool:
        pid, state = self._postmaster()
        return state == "ready" and (pid == self.pid if self.pid else psutil.pid_exists(pid))

    def leftover(self) -> int | None:
        pid, _ = self._postmaster()
        with suppress(psutil.Error, ValueError):
            # The number may belong to something else by now.
            if pid and self._is_ours(psutil.Process(pid)):
                return pid
        return None

    def _end_orphans(self) -> None:
        """End sessions of a postmaster that was killed: none starts beside the memory they share.

        They end by themselves, but only after the statement that they are at.
        """
        if self._postmaster()[0]:  # it left its file behind
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    if self._is_ours(process):
                        end_process(process.pid, signal.SIGQUIT)

    def _is_ours(self, process: psutil.Process) -> bool:
        """Whether it is a server in our cluster, and not, say, somebody's shell in its folder."""
        return process.name() == "postgres" and process.cwd() == str(self._data.resolve())

    def prepare_database(self) -> None:
        """Make our role, database and extensions, unless this version already has."""
        done = self._data / "undercroft.provisioned"
        wanted = sha256((provision.CLUSTER + provision.CONTENT).encode()).hexdigest()
        if done.exists() and done.read_text() == wanted:
            return
        self.as_superuser(
            provision.CLUSTER,
            database=SUPERUSER,
            variables={"role_password": self._secrets.postgres_password},
        )
        self.as_superuser(provision.CONTENT)
        self._account.write_file(done, wanted)

    def recreate_database(self) -> None:
        """Empty our database, whoever is connected."""
        self.as_superuser(f"DROP DATABASE {provision.DATABASE} WITH (FORCE)", database=SUPERUSER)
        (self._data / "undercroft.provisioned").unlink()
        self.prepare_database()

    def as_superuser(
        self,
        sql: str,
        *,
        database: str = provision.DATABASE,
        variables: dict[str, str] | None = None,
    ) -> None:
        """Run a psql script as the superuser, for the few things no other role may do."""
        set_variables = "".join(
            f"\\set {name} {tuning.quoted(value)}\n" for name, value in (variables or {}).items()
        )
        outcome = subprocess.run(
            [postgres_programs() / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1"],
            input=set_variables + sql,
            env={
                "PGHOST": str(self._sockets),
                "PGUSER": SUPERUSER,
                "PGPASSWORD": self._secrets.postgres_superuser_password,
                "PGDATABASE": database,
                "PGOPTIONS": "-c client_min_messages=warning",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode != 0:
            raise EngineFailed(f"PostgreSQL refused a preparation: {outcome.stderr.strip()}")

    def _url(self, role: str, password: str, database: str) -> str:
        host = quote(str(self._sockets), safe="/")
        return f"postgresql://{role}:{quote(password)}@/{quote(database)}?host={host}"

    def _postmaster(self) -> tuple[int, str]:
        """Process and state that postmaster.pid tells, as pg_ctl reads it; 0 without one."""
        with suppress(OSError, ValueError, IndexError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return int(lines[0]), lines[7].strip() if len(lines) > 7 else "starting"
        return 0, "stopped"

    def _create_cluster(self) -> None:
        """Beside its place, then moved there: a crash leaves no half cluster."""
        fresh = self._data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._account.make_directory(fresh)
        password = fresh.with_name("run") / "initdb"
        self._account.write_file(password, self._secrets.postgres_superuser_password)
        try:
            self._initdb(fresh, password)
        finally:
            password.unlink()
        self._account.write_file(fresh / "pg_hba.conf", _WHO_MAY_CONNECT)
        with (fresh / "postgresql.conf").open("a") as configuration:
            configuration.write("\ninclude 'undercroft.conf'  # written at every start\n")
        fresh.rename(self._data)

    def _initdb(self, data: Path, password: Path) -> None:
        options = ["--username", SUPERUSER, "--pwfile", str(password), "--auth=scram-sha-256"]
        options += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--locale=C", "--no-instructions"]
        options += ["--sync-method=syncfs"] if self._durable else ["--no-sync"]
        outcome = subprocess.run(
            [postgres_programs() / "initdb", "-D", str(data), *options],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **self._account.process_options(),
        )
        if outcome.returncode != 0:
            lines = outcome.stderr.strip().splitlines() or ["no message"]
            raise EngineFailed(f"PostgreSQL could not create its cluster: {' '.join(lines)}")

    def _check_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text().strip()
        bundled = postgres_major()
        if found != bundled:
            raise HomeUnusable(
                f"{self._data} was written by PostgreSQL {found} and this Undercroft brings "
                f"{bundled}: dump it with the Undercroft that wrote it (`undercroft db dump`) "
                "and restore it into a new home."
            )
