"""What handlers of the storage plane work with."""

from dataclasses import dataclass

from undercroft.foundation.http import Foundation
from undercroft.foundation.settings import Settings
from undercroft.storage.files import Files
from undercroft.storage.images.resizing import Resizer
from undercroft.storage.links import Links
from undercroft.storage.objects.small import SmallUploads


@dataclass(slots=True)
class Desk:
    files: Files
    small: SmallUploads
    links: Links
    resizer: Resizer
    settings: Settings
    parts: Foundation
