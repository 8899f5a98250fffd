"""What handlers of the storage plane work with."""

from dataclasses import dataclass

from undercroft.foundation.settings import Settings
from undercroft.storage.files import Files
from undercroft.storage.images.resizing import Resizer
from undercroft.storage.links import Links


@dataclass(slots=True)
class Desk:
    files: Files
    links: Links
    resizer: Resizer
    settings: Settings
