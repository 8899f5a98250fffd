"""The verbs of the console: run a script, explain a statement."""

from uuid import UUID

from sqlalchemy import text

from undercroft.data.sql.console import Outcome, Run, execute, limits_for
from undercroft.data.sql.errors import ParametersInvalid, StatementNotAllowed
from undercroft.data.sql.record import Console, new_entry, recorded
from undercroft.data.sql.schemas import SqlExplain, SqlQuery
from undercroft.data.sql.script import Statement, check_text, read_script
from undercroft.foundation.access import Actor
from undercroft.foundation.problems import Invalid
from undercroft.foundation.settings import SqlSettings

LONGEST_PLAN = 100_000
# Event triggers do this where a superuser installed them.
FOLLOW_POLICIES = text("""
    SELECT undercroft.grant_by_policies(p.polrelid)
      FROM (SELECT DISTINCT polrelid FROM pg_policy) p
     WHERE NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'undercroft_ddl')
""")


async def run_query(console: Console, asked: SqlQuery, *, actor: Actor) -> tuple[UUID, Outcome]:
    """Run a script; return the id of its entry in the history with its outcome."""
    check_text(asked.query, console.settings)
    entry = new_entry(asked.query, actor, read_only=asked.read_only, dry_run=asked.dry_run)
    async with recorded(console, entry) as record:
        run = _run_of(asked, console.settings)
        record.outcome = await execute(console.developer, run)
        if run.keep and any(one.says("POLICY") for one in run.statements if one.changes_schema):
            async with console.database.unit_of_work() as session:
                await session.execute(FOLLOW_POLICIES)
    return entry.id, record.outcome


async def explain(console: Console, asked: SqlExplain, *, actor: Actor) -> Outcome:
    """The plan of one statement. Whatever `analyze` did is taken back."""
    check_text(asked.query, console.settings)
    entry = new_entry(asked.query, actor, read_only=not asked.analyze, dry_run=True)
    async with recorded(console, entry) as record:
        record.outcome = await execute(console.developer, _explanation(asked, console.settings))
    return record.outcome


def _explanation(asked: SqlExplain, settings: SqlSettings) -> Run:
    statements = read_script(asked.query, settings)
    if len(statements) > 1:
        raise StatementNotAllowed("One statement is explained at a time.", 1)
    options = [f"FORMAT {asked.format.upper()}"]
    options += [name.upper() for name in ("analyze", "verbose", "buffers") if getattr(asked, name)]
    prefix = f"EXPLAIN ({', '.join(options)}) "
    # Errors name places in the statement, so the prefix must not count.
    whole = Statement(prefix + statements[0].text, statements[0].start - len(prefix))
    timeout = _timeout(asked.timeout, settings)
    return Run(
        asked.query,
        [whole],
        asked.params,
        limits_for(settings, timeout=timeout, max_rows=LONGEST_PLAN),
        read_only=not asked.analyze,
        keep=False,
    )


def _run_of(asked: SqlQuery, settings: SqlSettings) -> Run:
    statements = read_script(asked.query, settings)
    if asked.params and len(statements) > 1:
        raise ParametersInvalid("Parameters belong to a single statement.")
    if statements[0].stands_alone and (asked.read_only or asked.dry_run or asked.params):
        raise StatementNotAllowed("It cannot be taken back, and takes no parameters.", 0)
    if asked.max_rows and asked.max_rows > settings.most_rows:
        raise _too_much("max_rows", settings.most_rows)
    timeout = _timeout(asked.timeout, settings)
    return Run(
        asked.query,
        statements,
        asked.params,
        limits_for(settings, timeout=timeout, max_rows=asked.max_rows),
        read_only=asked.read_only,
        keep=not (asked.read_only or asked.dry_run),
    )


def _timeout(asked: float | None, settings: SqlSettings) -> float | None:
    longest = settings.longest_timeout.total_seconds()
    if asked and asked > longest:
        raise _too_much("timeout", longest)
    return asked


def _too_much(name: str, most: float) -> Invalid:
    line = {"pointer": f"#/{name}", "code": "less_than_equal", "detail": f"At most {most:g}."}
    return Invalid(errors=[line])
