"""What `undercroft rest` can do besides serving: show its settings or schema, ask how it is.

Each returns what it prints.
"""

import asyncio
import logging
from http.client import HTTPConnection

from undercroft.data.rest.standalone.app import FAILURES, StandaloneApp
from undercroft.data.rest.standalone.dump import dump_config
from undercroft.data.rest.standalone.listening import connect_to
from undercroft.data.rest.standalone.schema_dump import dump_schema
from undercroft.data.rest.standalone.settings import InvalidSettingError, Listen

log = logging.getLogger(__name__)

_WILDCARDS = ("*", "*4", "!4", "*6", "!6")
_ANSWER_WITHIN = 5.0  # seconds


class NotReadyError(Exception):
    """The server that was asked for cannot answer; the message says why."""


def show_config(app: StandaloneApp) -> str:
    """Show every setting in force, those of the database included if it can be reached."""

    async def read() -> None:
        try:
            app.settings = await app.read_config()
        except FAILURES as error:
            log.warning("The settings of the database are not among these: %s", error)
        finally:
            await app.stop()

    asyncio.run(read())
    return dump_config(app.settings)


def show_schema(app: StandaloneApp) -> str:
    """Show the catalogue as JSON."""

    async def read() -> None:
        try:
            await app.reload_config()
        finally:
            await app.stop()

    try:
        asyncio.run(read())
    except FAILURES as error:
        raise InvalidSettingError(f"Cannot read the database's schema: {error}") from error
    return dump_schema(app.schemas.current).decode() + "\n"


def ask_ready(app: StandaloneApp) -> str:
    """Ask the admin server of the process that these settings started. Raises NotReadyError."""
    admin = app.settings.admin
    if admin.port is None and admin.unix_socket is None:
        raise NotReadyError("Admin server is not running. Please check admin-server-port config.")
    if admin.unix_socket is None and admin.host in _WILDCARDS:
        raise NotReadyError(
            "The `--ready` flag cannot be used when server-host is configured as"
            f' "{admin.host}". Please update your server-host config to "localhost".'
        )
    url = f"http://{admin.unix_socket or f'{admin.host}:{admin.port}'}/ready"
    try:
        status = _ask(admin)
    except OSError as error:
        raise NotReadyError(f"connection refused to {url}") from error
    if status != 200:
        raise NotReadyError(url)
    return f"OK: {url}\n"


def _ask(admin: Listen) -> int:
    connection = HTTPConnection("localhost", timeout=_ANSWER_WITHIN)
    connection.sock = connect_to(admin, _ANSWER_WITHIN)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status
    finally:
        connection.close()
