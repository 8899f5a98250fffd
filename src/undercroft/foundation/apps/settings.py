"""Settings of apps: `UNDERCROFT_SHOP__PAGE_SIZE` for the field `page_size` of the app `shop`."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError, create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

from undercroft.foundation.apps.descriptor import App
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings.group import SettingsGroup

Group = TypeVar("Group", bound=SettingsGroup)


class AppSettings:
    """One object per app that has a group, found by its class."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._by_class = {
            app.settings: _load(app.name, app.settings) for app in apps if app.settings
        }

    def of(self, group: type[Group]) -> Group:
        found = self._by_class[group]
        assert isinstance(found, group)
        return found


def settings_of(group: type[Group]) -> Callable[[Request], Awaitable[Group]]:
    """A dependency: `Annotated[ShopSettings, Depends(settings_of(ShopSettings))]`."""

    async def find(request: Request) -> Group:
        settings: AppSettings = request.app.state.app_settings
        return settings.of(group)

    return find


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="UNDERCROFT_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        hide_input_in_errors=True,
        nested_model_default_partial_update=True,
    )


def _load(name: str, group: type[SettingsGroup]) -> SettingsGroup:
    field: Any = (group, _default(group))
    reader = create_model(f"{name}_environment", __base__=_Environment, **{name: field})
    try:
        found: SettingsGroup = getattr(reader(), name)
    except ValidationError as error:
        line = error.errors(include_input=False, include_url=False)[0]
        variable = "__".join(str(part) for part in line["loc"]).upper()
        raise SettingsInvalid(f"UNDERCROFT_{variable}: {line['msg']}") from error
    return found


def _default(group: type[SettingsGroup]) -> Any:
    try:
        return group()
    except ValidationError:
        return ...  # a field without a default: then the environment must bring it
