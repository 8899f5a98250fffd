"""Every model, imported so that the metadata is complete, and the schemas that are ours."""

from undercroft.data.functions import models as functions
from undercroft.data.sql import models as sql
from undercroft.identity.access import models as access
from undercroft.identity.auth import models as auth
from undercroft.identity.auth.codes import models as codes
from undercroft.identity.auth.factors import models as factors
from undercroft.identity.auth.providers import models as providers
from undercroft.identity.features import models as features
from undercroft.identity.organizations import models as organizations
from undercroft.identity.users import models as users
from undercroft.notifications import models as notifications
from undercroft.operations.activity import models as activity
from undercroft.realtime import models as realtime
from undercroft.storage import models as storage
from undercroft.storage.media import models as media
from undercroft.webhooks import models as webhooks

OUR_SCHEMAS = frozenset(
    {"undercroft", "auth", "notifications", "operations", "realtime", "storage", "webhooks"}
)

__all__ = [
    "OUR_SCHEMAS",
    "access",
    "activity",
    "auth",
    "codes",
    "factors",
    "features",
    "functions",
    "media",
    "notifications",
    "organizations",
    "providers",
    "realtime",
    "sql",
    "storage",
    "users",
    "webhooks",
]
