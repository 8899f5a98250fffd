"""Stub."""

from undercroft.foundation.settings import AuthSettings


class Providers:
    def __init__(self, settings: AuthSettings, *, callback_base: str) -> None:
        self._settings = settings
        self.callback_base = callback_base
