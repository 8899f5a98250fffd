"""What identity adds to the platform."""

from undercroft.foundation.wing import Wing
from undercroft.identity.access import routes as access
from undercroft.identity.access.api_keys import routes as api_keys
from undercroft.identity.auth import contact_routes as contacts
from undercroft.identity.auth import jobs as auth_jobs
from undercroft.identity.auth import routes as auth
from undercroft.identity.auth.codes import routes as codes
from undercroft.identity.auth.factors import routes as factors
from undercroft.identity.auth.providers import routes as providers
from undercroft.identity.features import routes as features
from undercroft.identity.organizations import jobs as organization_jobs
from undercroft.identity.organizations import routes as organizations
from undercroft.identity.users import erasure
from undercroft.identity.users import routes as users
from undercroft.identity.users import settings_routes as user_settings

WING = Wing(
    # `/users/me/…` comes before `/users/{user_id}/…`.
    routers=(
        auth.router,
        codes.router,
        factors.router,
        factors.users_router,
        providers.router,
        auth.session_router,
        auth.users_router,
        access.user_router,
        users.router,
        user_settings.router,
        contacts.router,
        access.permission_router,
        access.group_router,
        access.access_router,
        api_keys.router,
        organizations.router,
        organizations.invitation_router,
        features.router,
        features.organization_router,
    ),
    root_routers=(auth.well_known,),
    permissions=(
        *users.PERMISSIONS,
        *auth.PERMISSIONS,
        *access.PERMISSIONS,
        *api_keys.PERMISSIONS,
        *organizations.PERMISSIONS,
        *features.PERMISSIONS,
    ),
    jobs=(*auth_jobs.JOBS, *erasure.JOBS),
    schedules=(*auth_jobs.SCHEDULES, *erasure.SCHEDULES),
    subscriptions=organization_jobs.SUBSCRIPTIONS,
    personal=erasure.PERSONAL,
)
