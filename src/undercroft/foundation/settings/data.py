"""The rows API and the tables behind it."""

from datetime import timedelta

from pydantic import Field

from undercroft.foundation.settings.group import SettingsGroup


class DataSettings(SettingsGroup):
    schemas: tuple[str, ...] = Field(
        ("public",), description="Schemas that /rest/v1 exposes; the first is the default."
    )
    extra_search_path: tuple[str, ...] = Field(
        ("public", "extensions"), description="Added to the search path of every statement."
    )
    max_rows: int | None = Field(None, description="Most rows one answer may hold.")
    statement_timeout: timedelta = Field(
        timedelta(seconds=8), description="Longest statement of a caller of /rest/v1."
    )
    import_timeout: timedelta = Field(timedelta(hours=1), description="Longest table import.")
    pool_size: int = Field(10, ge=1, description="Connections a worker opens for rows.")
    service_pool_size: int = Field(
        4, ge=1, description="Connections a worker opens for calls with the service key."
    )
    aggregates_enabled: bool = Field(False, description="Allow sum(), avg(), count() … in select.")
