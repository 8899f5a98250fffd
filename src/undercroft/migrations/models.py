"""Every model, imported so that the metadata is complete, and the schemas that are ours."""

from undercroft.identity.access import models as access
from undercroft.identity.auth import models as auth
from undercroft.identity.features import models as features
from undercroft.identity.organizations import models as organizations
from undercroft.identity.users import models as users

OUR_SCHEMAS = frozenset({"undercroft", "auth"})

__all__ = ["OUR_SCHEMAS", "access", "auth", "features", "organizations", "users"]
