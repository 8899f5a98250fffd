"""Facts about signing in and what it takes, for the activity log above all.

`ACTION` and `LEVEL` are how the log calls one, `ACTED_BY` the field that says who did it.
"""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """`method` is how: a password, a code, a provider. `aal` is aal2 after two factors.

    `first` is the sign-in of an account that never had one.
    """

    ACTION: ClassVar[str] = "user.signed_in"
    ACTED_BY: ClassVar[str] = "user_id"
    LEVEL: ClassVar[str] = "info"

    session_id: UUID
    user_id: UUID
    method: str
    aal: str
    first: bool = False


@dataclass(frozen=True, slots=True)
class SignInFailuresForgotten:
    """An administrator let somebody sign in who had failed too often."""

    user_id: UUID
    by: UUID | None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`reason` is why: logout, revoked, password_changed, suspended and others."""

    session_id: UUID
    user_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class SignInProven:
    """A live session showed again who is there: a second factor, a password."""

    ACTION: ClassVar[str] = "user.proved_identity"
    LEVEL: ClassVar[str] = "info"

    user_id: UUID
    session_id: UUID
    method: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class SignInFailed:
    """`user_id` is None where nobody has the identifier.

    That is not told: people type passwords into the wrong field.
    """

    LEVEL: ClassVar[str] = "warn"

    user_id: UUID | None
    method: str
    by: UUID | None = None


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    user_id: UUID
    by: UUID | None = None


@dataclass(frozen=True, slots=True)
class ContactVerified:
    user_id: UUID
    channel: str
    by: UUID | None = None


@dataclass(frozen=True, slots=True)
class FactorAdded:
    factor_id: UUID
    user_id: UUID
    kind: str
    by: UUID | None = None


@dataclass(frozen=True, slots=True)
class FactorRemoved:
    factor_id: UUID
    user_id: UUID
    by: UUID | None = None


@dataclass(frozen=True, slots=True)
class FactorsReset:
    """An operator took all second factors off an account."""

    user_id: UUID
    by: UUID | None


@dataclass(frozen=True, slots=True)
class RecoveryCodesReplaced:
    user_id: UUID
    by: UUID | None = None


@dataclass(frozen=True, slots=True)
class IdentityLinked:
    """An account elsewhere signs in here from now on."""

    user_id: UUID
    provider: str
    by: UUID | None = None


@dataclass(frozen=True, slots=True)
class IdentityUnlinked:
    identity_id: UUID
    user_id: UUID
    by: UUID | None = None
