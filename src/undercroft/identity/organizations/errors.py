"""What can go wrong with organizations, members and invitations."""

from undercroft.foundation.problems import Conflict, Forbidden, Invalid, NotFound


class OrganizationNotFound(NotFound):
    title = "No such organization"


class RoleTooLow(Forbidden):
    title = "Your role does not allow this"
    detail = "This needs the role {needed} in the organization."

    def __init__(self, needed: str) -> None:
        super().__init__(needed=needed)


class OrganizationInactive(Forbidden):
    title = "The organization is switched off"
    detail = "It can be read, but not changed."


class SlugTaken(Conflict):
    title = "The slug is taken"
    detail = "Another organization has this slug."


class UniformNumberTaken(Conflict):
    title = "The uniform number is taken"
    detail = "Another organization has this number."


class OwnerNeeded(Invalid):
    title = "Who owns the organization?"
    detail = "A key owns nothing: name an account in `owner_id`."


class MemberNotFound(NotFound):
    title = "No such member"


class AlreadyMember(Conflict):
    title = "Is a member already"
    detail = "Change the role instead."


class LastOwner(Conflict):
    title = "The last owner"
    detail = "An organization needs an owner. Make somebody else one first, or delete it."


class SeatsTaken(Conflict):
    title = "No seat is left"
    detail = "The organization may have {max_members} members."

    def __init__(self, max_members: int) -> None:
        super().__init__(max_members=max_members)


class InvitationNotFound(NotFound):
    title = "The invitation is not valid"
    detail = "It was used, withdrawn or has expired. Ask for a new one."


class InvitationForAnother(Forbidden):
    title = "The invitation is for another address"
    detail = "Sign in with the account that has the address it was sent to."
