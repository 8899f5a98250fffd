"""What can go wrong with permissions, groups and API keys."""

from collections.abc import Iterable

from undercroft.foundation.problems import Conflict, Forbidden, Invalid, NotFound


class PermissionNotFound(NotFound):
    title = "No such permission"


class PermissionTaken(Conflict):
    title = "The permission exists already"
    detail = "There is a permission '{codename}'."

    def __init__(self, codename: str) -> None:
        super().__init__(codename=codename)


class SystemPermission(Conflict):
    title = "The permission is part of the platform"
    detail = "Routes ask for '{codename}' by name; only custom permissions can change."

    def __init__(self, codename: str) -> None:
        super().__init__(codename=codename)


class UnknownPermissions(Invalid):
    title = "There are no such permissions"
    detail = "Unknown: {unknown}."

    def __init__(self, unknown: Iterable[str]) -> None:
        super().__init__(unknown=", ".join(sorted(unknown)))


class GroupNotFound(NotFound):
    title = "No such group"


class GroupTaken(Conflict):
    title = "The group exists already"
    detail = "Another group has this codename or name."


class SystemGroup(Conflict):
    title = "The group is part of the platform"
    detail = "'{codename}' cannot be deleted, and keeps its codename."

    def __init__(self, codename: str) -> None:
        super().__init__(codename=codename)


class SuperAdminFixed(Conflict):
    title = "This group holds everything"
    detail = "super_admin is always active and needs no permissions."


class UnknownGroups(Invalid):
    title = "There are no such groups"
    detail = "Unknown: {unknown}."

    def __init__(self, unknown: Iterable[str]) -> None:
        super().__init__(unknown=", ".join(sorted(unknown)))


class CannotGrant(Forbidden):
    title = "You cannot give or take what you do not hold"
    detail = "You lack: {lacking}."

    def __init__(self, lacking: Iterable[str]) -> None:
        super().__init__(lacking=", ".join(sorted(lacking)))


class ApiKeyNotFound(NotFound):
    title = "No such API key"


class ApiKeyOrganizationUnknown(NotFound):
    title = "No such organization"
    detail = "A key can act only in an organization that you are a member of."


class ExpiryInThePast(Invalid):
    title = "The key would have expired already"
    detail = "`expires_at` must lie in the future."
