"""Makes the recipe of a request: its statement, and the transaction that it wants around it."""

from dataclasses import replace
from typing import NamedTuple

from undercroft.data.rest.compile import Compiled, Intent
from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import RestError, not_singular, too_many_affected
from undercroft.data.rest.execute import Job, Recipe
from undercroft.data.rest.pool import Foreign
from undercroft.data.rest.preferences import Preferences
from undercroft.data.rest.query.sql import Statement, ident
from undercroft.data.rest.request import HttpRequest
from undercroft.data.rest.sharing import Pace
from undercroft.data.schema.model import Catalog


class Caller(NamedTuple):
    """Who asks: the database role to become, and the claims policies will read, as JSON text."""

    role: str
    claims: str


def job_of(recipe: Recipe, values: list[str | None], request: HttpRequest, caller: Caller) -> Job:
    head = request.head
    return Job(recipe, values, caller.claims, request.path, head.headers_json, head.cookies_json)


class Recipes:
    """What every recipe of one app has in common."""

    def __init__(self, config: RestConfig) -> None:
        self._config = config
        self._search_paths = {
            schema: ", ".join(ident(name) for name in (schema, *config.extra_search_path))
            for schema in config.schemas
        }

    def bare(
        self, role: str, method: str, schema: str, statement: Statement, catalog: Catalog
    ) -> Recipe:
        """Make a reading recipe of a statement."""
        return Recipe(
            statement=statement,
            role=role,
            method=method,
            search_path=self._search_paths[schema],
            settings=(*catalog.role_settings.get(role, ()), *self._config.app_settings),
            isolation=catalog.role_isolation.get(role),
        )

    def recipe(
        self, role: str, method: str, intent: Intent, compiled: Compiled, catalog: Catalog
    ) -> Recipe:
        preferences = intent.preferences
        bare = self.bare(role, method, intent.target.schema, compiled.statement, catalog)
        settings, isolation = bare.settings, bare.isolation
        if preferences.timezone is not None:
            settings = (*settings, ("timezone", preferences.timezone))
        if compiled.function is not None:
            settings = (*settings, *compiled.function.settings)
            isolation = compiled.function.isolation or isolation
        least, most = _row_limits(intent, compiled)
        estimates = preferences.count == "estimated"
        recipe = replace(
            bare,
            read_only=compiled.read_only,
            settings=settings,
            isolation=isolation,
            least=least,
            most=most,
            rolls_back=self._rolls_back(preferences),
            explain_count=compiled.explain_count,
            explain_above=self._config.max_rows if estimates else None,
            plan_options=_plan_options(compiled) if compiled.answer.media_type.is_plan else None,
            foreign=self._foreign(compiled, catalog),
        )
        shareable = recipe.read_only and recipe.foreign is Foreign.NONE and recipe.fits_one_trip
        return replace(recipe, pace=Pace()) if shareable else recipe

    def _foreign(self, compiled: Compiled, catalog: Catalog) -> Foreign:
        if not (self._config.cleans_sessions and compiled.is_foreign):
            return Foreign.NONE
        return Foreign.DYNAMIC if catalog.has_dynamic_code else Foreign.FIXED

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
