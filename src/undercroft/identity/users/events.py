"""Facts about accounts."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class UserCreated:
    """`auth_type` is what they signed up with: email, phone or username."""

    user_id: UUID
    auth_type: str


@dataclass(frozen=True, slots=True)
class RegistrationRepeated:
    """Somebody registered with an identifier that is taken, of this `auth_type`.

    It costs what `UserCreated` costs, lest the time of an answer tells which of them it was.
    """

    auth_type: str


@dataclass(frozen=True, slots=True)
class UserStatusChanged:
    """`status` is the new one: active, suspended, deactivated or deleted."""

    user_id: UUID
    status: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class UserUpdated:
    """`fields` are the names of what changed, without the values."""

    user_id: UUID
    fields: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class UserErased:
    """Nothing personal is left of a deleted account."""

    user_id: UUID
