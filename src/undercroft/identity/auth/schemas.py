"""Sign-in on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from undercroft.foundation.phrases import Phrase
from undercroft.identity.users.schemas import IdentifierField, PasswordField, UserRead

REGISTERED = Phrase(
    "registered",
    "If the identifier is free, the account exists now. Sign in to use it, and confirm the address "
    "with the code we sent there.",
)
RefreshField = Annotated[str, Field(min_length=1, max_length=8192)]


class Registration(BaseModel):
    model_config = ConfigDict(extra="forbid")

    identifier: IdentifierField
    password: PasswordField


class Registered(BaseModel):
    """The same for a new and for a taken identifier: nobody learns who has an account."""

    identifier: str
    message: str = Field(examples=[REGISTERED.english])


class SignInRequest(BaseModel):
    identifier: IdentifierField
    password: PasswordField


class RefreshRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: RefreshField


class LogoutRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: RefreshField | None = None


class TokensRead(BaseModel):
    access_token: str
    session_token: str
    refresh_token: str
    session_id: UUID
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(description="Seconds until the access token expires.")
    second_factors: list[str] = Field(
        [],
        description="Not empty: the tokens do nothing until one of these was shown at "
        "`auth/second-factor`.",
        examples=[["totp"]],
    )
    user: UserRead


class TokenInfo(BaseModel):
    """What the token of this request is, read from what we signed."""

    token_type: str
    session_id: UUID
    user_id: UUID
    aal: str
    amr: list[dict[str, Any]]
    issued_at: datetime
    expires_at: datetime
    expires_in: int = Field(description="Seconds.")
    origin: str | None = None


class Ended(BaseModel):
    """What a logout revoked: sessions that were live until now, with every token of theirs.

    The three flags are for clients that look at tokens; all are true if any session ended.
    """

    sessions_revoked: int
    session_ids: list[UUID]
    access_token_revoked: bool
    refresh_tokens_revoked: bool
    tokens_revoked: bool

    @classmethod
    def of(cls, session_ids: list[UUID]) -> Self:
        any_ended = bool(session_ids)
        return cls(
            sessions_revoked=len(session_ids),
            session_ids=session_ids,
            access_token_revoked=any_ended,
            refresh_tokens_revoked=any_ended,
            tokens_revoked=any_ended,
        )


class SessionRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    device_name: str | None
    device_type: str | None
    browser: str | None
    os: str | None
    address: str | None
    place: str | None
    device_id: str | None = Field(description="What the sign-in sent as `X-Device-Id`.")
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    is_current: bool = False


class SignInAttempts(BaseModel):
    """Failures in a row of one identifier from one address."""

    model_config = ConfigDict(from_attributes=True)

    failures: int
    last_failed_at: datetime
    locked_until: datetime | None


class Deleted(BaseModel):
    deleted: int
