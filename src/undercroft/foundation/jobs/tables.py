"""Where the queue lives: PgQueuer's tables in our schema, under PgQueuer's own names.

Its names are kept so that its tools work (`PGQUEUER_SCHEMA=undercroft pgq dashboard`).
"""

from importlib.resources import files

from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.types import Channel

SCHEMA = "undercroft"

# Every field is spelled out: PgQueuer fills the others from the process environment, where a
# variable called CHANNEL or TRIGGER would be enough to lose the queue.
NAMES = DBSettings(
    prefix="",
    db_schema=SCHEMA,
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
    durability=Durability.durable,
    widen_id=True,
)


def jobs_ddl() -> str:
    """One statement that creates the queue, for a migration.

    The text is a file and not PgQueuer's to change: what a migration did must stay what it was.
    When a new PgQueuer wants other tables, a test says so and prints the next migration.
    """
    install = files(__package__).joinpath("install.sql").read_text(encoding="utf-8")
    # A block, because asyncpg prepares what it runs and prepares one statement at a time.
    return f"DO $install$ BEGIN\n{install}\nEND $install$"
