"""The base of every settings group: unknown names are errors, values never change after loading."""

from datetime import timedelta
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


class SettingsGroup(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _times_are_seconds(cls, values: Any) -> Any:
        """The environment has texts only, and pydantic takes a text for ISO 8601."""
        if not isinstance(values, dict):
            return values
        return {name: cls._as_time(name, value) for name, value in values.items()}

    @classmethod
    def _as_time(cls, name: str, value: object) -> object:
        field = cls.model_fields.get(name)
        kind = field.annotation if field else None
        if not isinstance(value, str) or timedelta not in {kind, *get_args(kind)}:
            return value
        try:
            return float(value)
        except ValueError:
            return value
