"""Which backend the settings choose."""

from undercroft.foundation.settings import Settings
from undercroft.storage.backends import Backend
from undercroft.storage.backends.disk import Disk


def open_backend(settings: Settings) -> Backend:
    """The backend that the settings choose. Raises `SettingsInvalid` for a half-told store."""
    storage = settings.storage
    if storage.backend == "disk":
        return Disk((storage.directory or settings.home / "files").absolute())

    from undercroft.storage.backends.stores import Store, open_store  # noqa: PLC0415 - 20 MB of it

    return Store(open_store(storage))
