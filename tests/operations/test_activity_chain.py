"""The chain over the log: what it proves, and what retention may take without breaking it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio
from click.testing import Result
from sqlalchemy import text
from typer.testing import CliRunner

from tests.fixtures.actors import register, sign_in
from tests.fixtures.app import SUPERUSER, make_client, make_settings, running
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import Application, create_app
from undercroft.cli.main import app as command_line
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.settings import Settings
from undercroft.operations.activity import seals, service
from undercroft.operations.activity.seals import Head
from undercroft.operations.activity.verify import Verdict, verify_chain

API = "/api/v1"


class Log:
    """A platform of its own, whose log a superuser of the database may tamper with."""

    def __init__(self, app: Application, settings: Settings, engines: EngineAddresses) -> None:
        self.app, self.settings, self.engines = app, settings, engines
        self.database = settings.database.url.get_secret_value().split("@/")[1].split("?")[0]  # type: ignore[union-attr]

    async def seal(self, *, now: datetime | None = None) -> Head | None:
        async with self.app.parts.database.unit_of_work() as session:
            found = await seals.seal_entries(
                session, self.app.parts.keyring, now=now or datetime.now(UTC)
            )
        return found[0] if found else None

    async def verify(self, known: Head | None = None) -> Verdict:
        async with self.app.parts.database.unit_of_work() as session:
            return await verify_chain(session, self.app.parts.keyring, known=known)

    async def tamper(self, sql: str) -> None:
        """As somebody who owns the database and switches the triggers off."""
        sql = f"SET session_replication_role = replica; {sql}"
        await asyncio.to_thread(self.engines.execute, sql, database=self.database)

    async def purge(self, **options: Any) -> int:
        async with self.app.parts.database.unit_of_work() as session:
            return await service.purge_entries(
                session, self.app.parts.keyring, now=datetime.now(UTC), **options
            )


@pytest_asyncio.fixture
async def log(engines: EngineAddresses, make_database: DatabaseFactory) -> AsyncIterator[Log]:
    settings = await asyncio.to_thread(lambda: make_settings(engines, make_database()))
    async with running(create_app(settings)) as app:
        async with make_client(app) as client:
            for name in ("ada", "grace", "joan"):
                await register(client, name)
        yield Log(app, settings, engines)


class TestVerify:
    async def test_an_untouched_log_is_intact(self, log: Log):
        assert (await log.verify()).unsealed > 0
        head = await log.seal()
        verdict = await log.verify()
        assert verdict.broken is None
        assert (verdict.seals, verdict.unsealed, verdict.head) == (1, 0, head)
        assert verdict.entries >= 6

    async def test_concurrent_writers_and_sealers_leave_no_gap(self, log: Log):
        async with make_client(log.app) as client:
            people = [register(client, "crowd") for _ in range(20)]
            sealing = [log.seal() for _ in range(20)]
            await asyncio.gather(*people, *sealing)
        while await log.seal():
            pass
        verdict = await log.verify()
        assert verdict.broken is None
        assert verdict.unsealed == 0
        assert verdict.entries >= 46

    async def test_a_changed_entry_is_named(self, log: Log):
        await log.seal()
        victim = await self._some_entry(log)
        await log.tamper(
            f"UPDATE operations.activity SET message = 'nothing' WHERE id = '{victim}'"  # noqa: S608
        )
        broken = (await log.verify()).broken
        assert broken
        assert (broken.seal, str(broken.entry_id)) == (1, victim)
        assert "changed" in broken.reason

    async def test_a_deleted_entry_is_named(self, log: Log):
        await log.seal()
        victim = await self._some_entry(log)
        await log.tamper(f"DELETE FROM operations.activity WHERE id = '{victim}'")  # noqa: S608
        broken = (await log.verify()).broken
        assert broken
        assert str(broken.entry_id) == victim

    async def test_an_entry_deleted_before_its_seal_is_named(self, log: Log):
        victim = await self._some_entry(log)
        await log.tamper(f"DELETE FROM operations.activity WHERE id = '{victim}'")  # noqa: S608
        await log.seal()
        broken = (await log.verify()).broken
        assert broken
        assert str(broken.entry_id) == victim

    async def test_an_entry_put_in_is_named(self, log: Log):
        await log.seal()
        await log.tamper(
            "INSERT INTO operations.activity SELECT (e).* FROM (SELECT jsonb_populate_record("
            "a, jsonb_build_object('id', uuidv7())) AS e FROM operations.activity a LIMIT 1) x"
        )
        broken = (await log.verify()).broken
        assert broken
        assert "behind the sealer's back" in broken.reason

    async def test_seals_cannot_be_recomputed_without_the_secret_key(self, log: Log):
        await log.seal()
        victim = await self._some_entry(log)
        await log.tamper(
            f"UPDATE operations.activity SET message = 'nothing' WHERE id = '{victim}'"  # noqa: S608
        )
        # The forger seals anew with a key of their own.
        await log.tamper(
            "INSERT INTO operations.activity_unsealed SELECT id, created_at"
            " FROM operations.activity; DELETE FROM operations.activity_seals"
        )
        async with log.app.parts.database.unit_of_work() as session:
            await seals.seal_entries(session, Keyring("x" * 40), now=datetime.now(UTC))
        broken = (await log.verify()).broken
        assert broken
        assert "SECRET_KEY" in broken.reason

    async def test_a_missing_seal_is_named(self, log: Log):
        for _ in range(3):
            async with make_client(log.app) as client:
                await sign_in(client, SUPERUSER)
            await log.seal()
        await log.tamper("DELETE FROM operations.activity_seals WHERE number = 2")
        broken = (await log.verify()).broken
        assert broken
        assert (broken.seal, broken.reason) == (2, "seal 2 is missing")

    async def test_a_tail_that_was_cut_off_shows_to_who_kept_the_head(self, log: Log):
        await log.seal()
        async with make_client(log.app) as client:
            await sign_in(client, SUPERUSER)
        kept = await log.seal()
        await log.tamper(
            "DELETE FROM operations.activity WHERE id IN (SELECT unnest(entry_ids)"
            " FROM operations.activity_seals WHERE number = 2);"
            " DELETE FROM operations.activity_seals WHERE number = 2"
        )
        assert (await log.verify()).broken is None
        broken = (await log.verify(kept)).broken
        assert broken
        assert "you know seal 2" in broken.reason

    async def _some_entry(self, log: Log) -> str:
        async with log.app.parts.database.unit_of_work() as session:
            statement = text(
                "SELECT id::text FROM operations.activity ORDER BY id OFFSET 2 LIMIT 1"
            )
            return str(await session.scalar(statement))


class TestRetention:
    async def test_takes_old_months_and_leaves_the_rest_provable(self, log: Log):
        await self._age(log)
        await log.seal(now=datetime.now(UTC) - timedelta(days=300))
        async with make_client(log.app) as client:
            await sign_in(client, SUPERUSER)
        await log.seal()
        gone = await log.purge(older_than=timedelta(days=100), whole_months=True)
        assert gone >= 6
        while await log.seal():
            pass
        verdict = await log.verify()
        assert verdict.broken is None, verdict.broken
        assert verdict.purged_before
        async with log.app.parts.database.unit_of_work() as session:
            numbers = await session.execute(text("SELECT number FROM operations.activity_seals"))
            assert [number for (number,) in numbers] == [2, 3]
            told = text("SELECT metadata FROM operations.activity WHERE action = :action")
            note = await session.scalar(told, {"action": "activity.purged"})
        assert note["entries"] == gone

    async def test_what_is_left_for_later_is_no_break(self, log: Log):
        """Of more entries than go at once, the younger ones keep their seals and their places."""
        await self._age(log)
        await log.seal(now=datetime.now(UTC) - timedelta(days=300))
        await self._age(log)  # and these wait for their seal
        assert await log.purge(older_than=timedelta(days=100), most=3) == 3
        verdict = await log.verify()
        assert verdict.broken is None
        assert verdict.unsealed > 0
        while await log.seal():
            pass
        assert await log.purge(older_than=timedelta(days=100), most=100) > 3
        assert (await log.verify()).broken is None

    async def test_an_entry_that_vanished_after_the_cut_still_shows(self, log: Log):
        await self._age(log)
        await log.seal(now=datetime.now(UTC) - timedelta(days=300))
        await log.purge(older_than=timedelta(days=100))
        async with make_client(log.app) as client:
            await sign_in(client, SUPERUSER)
        await log.seal()
        await log.tamper("DELETE FROM operations.activity WHERE action = 'user.signed_in'")
        assert (await log.verify()).broken

    async def test_over_http_says_how_many(self, log: Log):
        await self._age(log)
        async with make_client(log.app) as client:
            admin = await sign_in(client, SUPERUSER)
            response = await admin.delete(f"{API}/activity", params={"older_than": 90})
            assert response.status_code == 200, response.text
            assert response.json()["deleted"] >= 6
            assert response.json()["complete"]
            for absurd in (0, -1, 10**9):
                refused = await admin.delete(f"{API}/activity", params={"older_than": absurd})
                assert refused.status_code == 422

    async def _age(self, log: Log) -> None:
        """Move what there is three hundred days back."""
        moved = (
            "UPDATE operations.activity SET created_at = date_trunc('milliseconds', created_at)"
            " - interval '300 days', id = uuidv7(- interval '300 days')"
        )
        await log.tamper(
            "SELECT operations.ensure_activity_month((now() - interval '300 days')::date);"
            f"{moved};"
            "UPDATE operations.activity SET created_at = uuid_extract_timestamp(id);"
            "DELETE FROM operations.activity_unsealed;"
            "INSERT INTO operations.activity_unsealed SELECT id, created_at"
            " FROM operations.activity"
        )


class TestPartitions:
    async def test_rows_without_a_month_wait_in_the_default_and_move_over(self, log: Log):
        async with log.app.parts.database.unit_of_work() as session:
            month = text("SELECT operations.ensure_activity_month(CAST(:month AS date))")
            await session.execute(
                text(
                    "INSERT INTO operations.activity (id, created_at, level, action, module,"
                    " message, actor_type) VALUES (uuidv7(), '2031-05-09', 'info', 'a', 'b',"
                    " 'c', 'system')"
                )
            )
            await session.execute(month, {"month": datetime(2031, 5, 1, tzinfo=UTC).date()})
            found = await session.scalar(
                text("SELECT tableoid::regclass::text FROM operations.activity WHERE action = 'a'")
            )
        assert found == "operations.activity_2031_05"


class TestCommandLine:
    def run(self, log: Log, *arguments: str) -> Result:
        """In this process: the command, not how long Python takes to start."""
        secret = log.settings.secret_key
        assert secret
        environment = {
            "DATABASE_URL": log.settings.database.url.get_secret_value(),  # type: ignore[union-attr]
            "REDIS_URL": log.settings.cache.url.get_secret_value(),  # type: ignore[union-attr]
            "SECRET_KEY": secret.get_secret_value(),
            "UNDERCROFT_HOME": str(log.settings.home),
        }
        return CliRunner().invoke(command_line, ["activity", *arguments], env=environment)

    async def test_verify_names_the_first_broken_link(self, log: Log):
        await log.seal()
        fine = await asyncio.to_thread(self.run, log, "verify", "--json")
        assert fine.exit_code == 0, fine.stderr
        report = json.loads(fine.stdout)
        assert report["intact"]
        again = await asyncio.to_thread(self.run, log, "verify", "--head", report["head"])
        assert again.exit_code == 0, again.stderr
        await log.tamper("UPDATE operations.activity SET level = 'debug'")
        broken = await asyncio.to_thread(self.run, log, "verify")
        assert broken.exit_code == 1
        assert broken.stdout.startswith("Broken at seal 1: entry ")

    async def test_the_head_is_kept_for_the_next_time(self, log: Log, tmp_path: Path):
        """So that a tail which the owner of the database cut off shows."""
        kept = tmp_path / "head"
        await log.seal()
        first = await asyncio.to_thread(self.run, log, "verify", "--keep", str(kept))
        assert f"Head: {kept.read_text().strip()}" in first.stdout
        await log.tamper("DELETE FROM operations.activity")
        await log.tamper("DELETE FROM operations.activity_seals")
        before = kept.read_text()
        cut = await asyncio.to_thread(self.run, log, "verify", "--keep", str(kept))
        assert (cut.exit_code, kept.read_text()) == (1, before), cut.stdout

    async def test_list_and_export(self, log: Log):
        listed = await asyncio.to_thread(
            self.run, log, "list", "--action", "user.signed_in", "--json"
        )
        assert len(json.loads(listed.stdout)) == 3, listed.stderr
        exported = await asyncio.to_thread(self.run, log, "export", "--since", "1h")
        assert {json.loads(line)["level"] for line in exported.stdout.splitlines()} >= {"audit"}
        async with make_client(log.app) as client:
            admin = await sign_in(client, SUPERUSER)
            body = {"message": "x", "action": "a.b", "target_id": "x\n\x1b[2J2026 forged \u202e"}
            assert (await admin.post(f"{API}/activity", json=body)).status_code == 201
        listed = await asyncio.to_thread(self.run, log, "list", "--action", "a.b")
        assert listed.stdout.endswith("object=x\\n\\x1b[2J2026 forged \\u202e\n")
        wrong = await asyncio.to_thread(self.run, log, "list", "--since", "yesterday-ish")
        assert wrong.exit_code == 2
        assert "Traceback" not in wrong.stderr
