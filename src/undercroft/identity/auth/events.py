"""Facts about sessions."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """`method` is how: a password, a code, a provider. `aal` is aal2 after two factors."""

    session_id: UUID
    user_id: UUID
    method: str
    aal: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`reason` is why: logout, revoked, password_changed, suspended and others."""

    session_id: UUID
    user_id: UUID
    reason: str
