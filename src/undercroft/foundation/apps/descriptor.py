"""What an app hands to the platform, checked as far as an app alone can be wrong."""

import importlib.util
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Permission
from undercroft.foundation.http.router import Router
from undercroft.foundation.jobs import Job, Listener, Schedule, Subscription
from undercroft.foundation.jobs.payload import payload_of_event
from undercroft.foundation.personal import PersonalData
from undercroft.foundation.settings.group import SettingsGroup

# Postgres keeps the schemas of `pg_` for itself.
NAME = re.compile(r"(?!pg_)[a-z][a-z0-9_]{0,30}")
EVENT_NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9_]{1,60}")

# Answers how something of the app is, in a few words; raising means that it is not well.
HealthProbe = Callable[[AsyncSession], Awaitable[str]]


@dataclass(frozen=True, kw_only=True)
class App:
    """One app. `package` is where its `migrations/` and `locales/` are found: pass `__name__`.

    `name` is also its Postgres schema, its migrations' branch, the first word of its jobs
    (`catalog.reindex`), the group of its settings and its word on the command line. `commands`
    names a Typer application (`shop.cli:app`) so that serving does not import it. `personal` says
    what its tables hold about people. `webhooks` are the facts that other servers may hear of and
    their names there (`{OrderPlaced: "shop.order_placed"}`); one with an `organization_id` also
    reaches webhooks of that organization.
    """

    name: str
    package: str
    summary: str = ""
    requires: Sequence[str] = ()
    routers: Sequence[Router] = ()
    permissions: Sequence[Permission] = ()
    jobs: Sequence[Job] = ()
    schedules: Sequence[Schedule] = ()
    subscriptions: Sequence[Subscription | Listener] = ()
    settings: type[SettingsGroup] | None = None
    commands: str | None = None
    personal: Sequence[PersonalData] = ()
    webhooks: Mapping[type, str] = field(default_factory=dict)
    health: Mapping[str, HealthProbe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"'{self.name}' is no name for an app: lower-case letters, digits, _, no pg_ before"
            )
        self._check_work()
        for table in (part.table for part in self.personal):
            if not table.startswith(f"{self.schema}."):
                raise ValueError(
                    f"The app {self.name} declares a table that is not its own: {table}"
                )
        for event, name in self.webhooks.items():
            payload_of_event("webhooks", event)  # a secret never leaves
            if not EVENT_NAME.fullmatch(name) or not name.startswith(f"{self.name}."):
                raise ValueError(
                    f"Webhook events of the app {self.name} are called '{self.name}.…': {name}"
                )
        if any(not permission.sentence for permission in self.permissions):
            raise ValueError(f"Every permission of the app {self.name} needs a sentence")

    def _check_work(self) -> None:
        work = [job for job in (*self.jobs, *self.subscriptions) if not isinstance(job, Listener)]
        names = [job.name for job in work]
        if wrong := next((name for name in names if not name.startswith(f"{self.name}.")), None):
            raise ValueError(f"Jobs of the app {self.name} start with '{self.name}.': {wrong}")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"Two jobs of the app {self.name} are called {twice}")
        for entry in self.schedules:
            if entry.job not in work:
                raise ValueError(f"{entry.job.name} has a schedule and is not in `jobs`")

    @property
    def schema(self) -> str:
        return self.name

    @property
    def migrations(self) -> Path | None:
        """Where its versions are; None for an app without tables."""
        return self._folder("migrations")

    @property
    def locales(self) -> Path | None:
        """Where `de.json` and others hold words for its problems, in the form of the platform's."""
        return self._folder("locales")

    def _folder(self, name: str) -> Path | None:
        spec = importlib.util.find_spec(self.package)
        places = spec.submodule_search_locations if spec else None
        found = Path(places[0]) / name if places else None
        return found if found and found.is_dir() else None
