"""Makes the job of a request: its statement, and the transaction around it as its caller."""

from dataclasses import dataclass

from undercroft.data.rest.compile import Compiled, Intent
from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import RestError, not_singular, too_many_affected
from undercroft.data.rest.execute import Job
from undercroft.data.rest.intent import Wanted
from undercroft.data.rest.pool import Foreign
from undercroft.data.rest.preferences import Preferences
from undercroft.data.rest.query.sql import Statement, ident
from undercroft.data.rest.request import HttpRequest
from undercroft.data.schema.model import Catalog

Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the database role to become, and the claims policies will read, as JSON text."""

    role: str
    claims: str


class Jobs:
    """What every job of one app has in common."""

    def __init__(self, config: RestConfig) -> None:
        self._config = config
        self._search_paths = {
            schema: ", ".join(ident(name) for name in (schema, *config.extra_search_path))
            for schema in config.schemas
        }

    def bare(
        self,
        request: HttpRequest,
        caller: Caller,
        schema: str,
        statement: Statement,
        catalog: Catalog,
    ) -> Job:
        """Make a reading job of a statement without values."""
        return Job(
            statement=statement,
            values=[],
            role=caller.role,
            claims=caller.claims,
            method=request.method,
            path=request.path,
            headers=request.headers_json(),
            cookies=request.cookies_json(),
            search_path=self._search_paths[schema],
            settings=(*catalog.role_settings.get(caller.role, ()), *self._config.app_settings),
            isolation=catalog.role_isolation.get(caller.role),
        )

    def statement(
        self,
        request: HttpRequest,
        caller: Caller,
        wanted: Wanted,
        compiled: Compiled,
        catalog: Catalog,
    ) -> Job:
        intent = wanted.intent
        preferences = intent.preferences
        job = self.bare(request, caller, intent.target.schema, compiled.statement, catalog)
        job.values = wanted.values
        job.read_only = compiled.read_only
        if self._config.cleans_sessions and compiled.is_foreign:
            job.foreign = Foreign.DYNAMIC if catalog.has_dynamic_code else Foreign.FIXED
        job.rolls_back = self._rolls_back(preferences)
        job.least, job.most = _row_limits(intent, compiled)
        if compiled.explain_count is not None:
            job.explain_count = compiled.explain_count
            job.explain_above = self._config.max_rows if preferences.count == "estimated" else None
        if preferences.timezone is not None:
            job.settings = (*job.settings, ("timezone", preferences.timezone))
        if compiled.function is not None:
            job.settings = (*job.settings, *compiled.function.settings)
            job.isolation = compiled.function.isolation or job.isolation
        if compiled.answer.media_type.is_plan:
            job.plan_options = _plan_options(compiled)
        return job

    def _rolls_back(self, preferences: Preferences) -> bool:
        return preferences.tx == "rollback" or (
            self._config.tx_end.rolls_back and preferences.tx != "commit"
        )


def row_count_refused(intent: Intent, compiled: Compiled, rows: int) -> RestError:
    """Say which of its limits on rows the request ran into."""
    if intent.action == "upsert":
        message = "Payload values do not match URL in primary key column(s)"
        return RestError(400, "PGRST115", message)
    return not_singular(rows) if compiled.answer.is_object else too_many_affected(rows)


def _row_limits(intent: Intent, compiled: Compiled) -> tuple[int | None, int | None]:
    """Say how few and how many rows the request allows."""
    if intent.action == "upsert" or compiled.answer.is_object:
        return 1, 1
    preferences = intent.preferences
    if preferences.strict and intent.action in ("update", "delete", "call"):
        return None, preferences.max_affected
    return None, None


def _plan_options(compiled: Compiled) -> str:
    media_type = compiled.answer.media_type
    return ", ".join([f"format {media_type.plan_format}", *media_type.plan_options])
