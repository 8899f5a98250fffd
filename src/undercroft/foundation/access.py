"""Who calls, what they hold, and the rule that a route sets for them.

There is no null caller: whoever sends nothing is `ANONYMOUS`, who holds nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from undercroft.foundation.clock import utc_now
from undercroft.foundation.problems import Forbidden, MissingPermission, Unauthorized


class Role(StrEnum):
    """The Postgres role that a caller's statements run under."""

    ANON = "anon"
    AUTHENTICATED = "authenticated"
    SERVICE = "service_role"


@dataclass(frozen=True, slots=True)
class HalfSignIn:
    """A session whose account has a second factor that was not shown yet."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever makes a request. `claims` is the JSON text that policies see.

    Half signed in is anonymous, with `half` saying whose session waits: whoever forgets to ask
    refuses. `fresh_until` is when dangerous acts ask again who is there.
    """

    role: Role
    claims: str = "{}"
    user_id: UUID | None = None
    session_id: UUID | None = None
    permissions: frozenset[str] = frozenset()
    is_superuser: bool = False
    token_type: str = ""
    half: HalfSignIn | None = None
    has_second_factor: bool = False
    fresh_until: float = 0.0
    # A program with a key of its own: no account, only the key's rights in the key's organization.
    api_key_id: UUID | None = None
    api_key_owner_id: UUID | None = None  # who made it: the key ends with their account
    organization_id: UUID | None = None
    # What the person chose to read, for messages where the request names no language.
    language: str | None = None

    @property
    def is_signed_in(self) -> bool:
        known = self.user_id or self.api_key_id
        return known is not None or self.role is Role.SERVICE

    @property
    def name(self) -> str:
        """Stable text for logs and keys: the user's id, the key's id or the role."""
        return str(self.user_id or self.api_key_id or self.role.value)

    def has(self, permission: str) -> bool:
        return self.is_superuser or permission in self.permissions

    def require_signed_in(self) -> None:
        """Raise `Unauthorized`, or `SecondFactorRequired` half-way."""
        if self.half:
            raise SecondFactorRequired
        if not self.is_signed_in:
            raise Unauthorized

    def require_fresh(self) -> None:
        """Raise `StepUpRequired` unless the person proved lately who they are."""
        if utc_now().timestamp() > self.fresh_until:
            raise StepUpRequired


ANONYMOUS = Actor(role=Role.ANON, claims='{"role":"anon"}')


@dataclass(frozen=True, slots=True)
class Permission:
    """`noun:verb`, declared by the domain that asks for it, with a sentence for the admin.

    `groups` are the system groups beside `admin` that hold it from its first appearance on.
    """

    name: str
    sentence: str = field(compare=False)
    groups: tuple[str, ...] = field(default=(), compare=False)


class AccessRule(ABC):
    """What a route asks of its caller before the body is read."""

    name: str

    @abstractmethod
    def check(self, actor: Actor) -> None:
        """Raise `Unauthorized` or `Forbidden` unless `actor` may pass."""


@dataclass(frozen=True, slots=True)
class Public(AccessRule):
    """Anyone may call; `name` says why.

    Bad credentials count as none, so that a stale token keeps nobody from signing in again; where
    the answer is `about_caller` they are refused, lest somebody is taken for nobody.
    """

    name: str
    about_caller: bool = False

    def check(self, actor: Actor) -> None:
        del actor


@dataclass(frozen=True, slots=True)
class SignedIn(AccessRule):
    """Any user with a live session."""

    name: str = "signed-in"

    def check(self, actor: Actor) -> None:
        actor.require_signed_in()
        if actor.user_id is None:
            raise UsersOnly


@dataclass(frozen=True, slots=True)
class SteppedUp(AccessRule):
    """A user who proved lately who they are; with their second factor if they have one."""

    name: str = "recent-sign-in"

    def check(self, actor: Actor) -> None:
        SignedIn().check(actor)
        actor.require_fresh()


@dataclass(frozen=True, slots=True)
class HalfSignedIn(AccessRule):
    """A user with a live session, whether or not their second factor was shown."""

    name: str = "half-signed-in"

    def check(self, actor: Actor) -> None:
        if actor.half is None:
            SignedIn().check(actor)


@dataclass(frozen=True, slots=True)
class Authenticated(AccessRule):
    """Any user, API key or service key; what each may do is decided at the object's door."""

    name: str = "authenticated"

    def check(self, actor: Actor) -> None:
        actor.require_signed_in()


@dataclass(frozen=True, slots=True)
class Needs(AccessRule):
    """Users and API keys that hold permission `name`, service keys and superusers."""

    name: str

    def check(self, actor: Actor) -> None:
        actor.require_signed_in()
        if not actor.has(self.name):
            raise MissingPermission(self.name)


class UsersOnly(Forbidden):
    title = "Only a person can do this"
    detail = "A key has no account; sign in as a user."


class SecondFactorRequired(Forbidden):
    title = "The second factor is missing"
    detail = "Finish signing in with an authenticator code, a passkey or a recovery code."


class StepUpRequired(Forbidden):
    title = "Prove again who you are"
    detail = "This is allowed only shortly after signing in or showing your second factor."


def names(permissions: Iterable[Permission]) -> frozenset[str]:
    return frozenset(permission.name for permission in permissions)
