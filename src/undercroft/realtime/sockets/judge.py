"""Asks Postgres which rows pass a rule, for each of many callers and as each of them.

The rule runs on the rows as they were logged, not on what the table holds by now: nobody gets an
old version of a row that only its newest version lets them see.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from undercroft.foundation.db import Database, connect_options
from undercroft.foundation.db.failures import DRIVER_ERRORS
from undercroft.foundation.db.logins import UNMOVED, authenticator, visitor
from undercroft.foundation.db.quoting import quote_name
from undercroft.foundation.settings import Settings
from undercroft.realtime.sockets.catalog import TableInfo

log = structlog.get_logger()

STATEMENT_SECONDS = 5.0
ROWS = (
    "pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) WITH ORDINALITY"
    " AS _undercroft_rows (_undercroft_row, _undercroft_place)"
)
CALL = "SELECT * FROM undercroft.judge_rows($1, $2, $3, $4, $5, $6)"
# Callers of one call, so that a crowd of them uses several connections and no time limit.
MOST_CALLERS = 250


@dataclass(frozen=True, slots=True)
class Caller:
    """A role with the claims that policies see."""

    role: str
    claims: str


SERVICE = Caller("service_role", '{"role":"service_role"}')


class Judge:
    """A few connections of the logins that may become the API's roles and nothing else.

    Policies call customers' functions, so those of visitors never meet a session that could become
    service_role.
    """

    ERRORS = DRIVER_ERRORS

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._logins = {False: visitor(settings), True: authenticator(settings)}
        self._options = connect_options(settings.database, application="realtime")
        server = self._options["server_settings"]
        if not settings.database.pooled:
            server |= UNMOVED
            server["statement_timeout"] = str(int(STATEMENT_SECONDS * 1000))
            # As for rows: functions that policies call may rely on it.
            path = (settings.data.schemas[0], *settings.data.extra_search_path)
            server["search_path"] = ", ".join(quote_name(name) for name in path)
        self._size = settings.realtime.pool_size
        self._pools: dict[bool, asyncpg.Pool[Any]] = {}
        self._opening = asyncio.Lock()

    async def passing(
        self, callers: Sequence[Caller], statement: str, rows: bytes, topic: str = ""
    ) -> list[tuple[int, int, int]]:
        """(caller, place, test) of what passes, from 0. Raises one of `ERRORS`.

        `statement` selects place and test from `ROWS`; a caller for whom it fails passes nothing.
        """
        groups = [
            group[start : start + MOST_CALLERS]
            for group in _by_login(callers)
            for start in range(0, len(group), MOST_CALLERS)
        ]
        answers = await asyncio.gather(
            *(
                self._call([callers[place] for place in group], topic, statement, rows)
                for group in groups
            )
        )
        return [
            (group[caller], place, test)
            for group, answer in zip(groups, answers, strict=True)
            for caller, place, test in answer
        ]

    async def matching(
        self, statement: str, rows: bytes, *, seconds: float | None = None
    ) -> list[tuple[int, int]]:
        """(place, test) of what matches, whoever asks. Raises one of `ERRORS`.

        With `seconds` Postgres ends what takes longer, not counting the wait for a connection.
        """
        found = await self._call([SERVICE], "", statement, rows, strict=True, seconds=seconds)
        return [(place, test) for _, place, test in found]

    async def refusal(self, statement: str) -> str | None:
        """Why Postgres does not take a statement, None when it does."""
        try:
            await self.matching(statement, b"[{}]")
        except asyncpg.PostgresError as error:
            return str(error)
        return None

    async def _call(
        self,
        callers: Sequence[Caller],
        topic: str,
        statement: str,
        rows: bytes,
        *,
        strict: bool = False,
        seconds: float | None = None,
    ) -> list[tuple[int, int, int]]:
        pool = await self._connected(privileged=callers[0].role == SERVICE.role)
        values = (
            [caller.role for caller in callers],
            [caller.claims for caller in callers],
            topic,
            statement,
            rows.decode(),
            strict,
        )
        if seconds is None:
            records = await pool.fetch(CALL, *values)
        else:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
                records = await connection.fetch(CALL, *values)
        return [(row[0] - 1, row[1] - 1, row[2]) for row in records]

    async def stop(self) -> None:
        for pool in self._pools.values():
            with suppress(*self.ERRORS):
                async with asyncio.timeout(1):
                    await pool.close()

    async def _connected(self, *, privileged: bool) -> "asyncpg.Pool[Any]":
        async with self._opening:
            if privileged not in self._pools:
                login = self._logins[privileged]

                async def connect(*_: Any, **options: Any) -> Any:
                    return await login.connect(self._database, **options)

                self._pools[privileged] = await asyncpg.create_pool(
                    connect=connect, min_size=0, max_size=self._size, **self._options
                )
        return self._pools[privileged]


def _by_login(callers: Sequence[Caller]) -> list[list[int]]:
    """Places of the callers that a session of one login may serve, without empty groups."""
    groups: dict[bool, list[int]] = {}
    for place, caller in enumerate(callers):
        groups.setdefault(caller.role == SERVICE.role, []).append(place)
    return list(groups.values())


def select_rows(table: TableInfo, what: str, where: str, joins: str = "") -> str:
    """A statement over the given rows as rows of `table`, under the name that its policies use."""
    record = (
        f"pg_catalog.jsonb_populate_record(NULL::{table.quoted}, _undercroft_row)"
        f" AS {quote_name(table.name)}"
    )
    return f"SELECT {what} FROM {ROWS} CROSS JOIN LATERAL {record} {joins} WHERE {where}"  # noqa: S608 - quoted names and policies
