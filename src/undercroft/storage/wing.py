"""What storage adds to the platform."""

from undercroft import storage
from undercroft.foundation.wing import Wing
from undercroft.storage import media, personal
from undercroft.storage.usage import routes as usage

WING = Wing(
    routers=(*media.ROUTERS, usage.router),
    permissions=(*media.PERMISSIONS, *storage.PERMISSIONS),
    jobs=(*media.JOBS, *storage.JOBS),
    schedules=storage.SCHEDULES,
    personal=(*media.PERSONAL, *personal.PERSONAL),
)
