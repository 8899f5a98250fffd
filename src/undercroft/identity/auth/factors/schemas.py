"""Second factors on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from undercroft.identity.auth.factors.models import FactorType
from undercroft.identity.auth.schemas import TokensRead

NameField = Annotated[str, Field(min_length=1, max_length=100, examples=["My phone"])]
# Six digits of an app, or a recovery code with or without its dash.
ShownCode = Annotated[
    str, Field(pattern=r"^([0-9]{6}|[A-Za-z2-7]{8}-?[A-Za-z2-7]{8})$", examples=["123456"])
]
# What `navigator.credentials` gives, as JSON; webauthn parses it.
Credential = Annotated[dict[str, Any], Field(max_length=20)]


class FactorRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    type: FactorType
    name: str
    created_at: datetime
    last_used_at: datetime | None


class TotpNew(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: NameField = "Authenticator app"


class TotpSecret(BaseModel):
    id: UUID
    secret: str = Field(description="Base32, for typing in.")
    uri: str = Field(description="For a QR code.")


class TotpConfirm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(pattern=r"^[0-9]{6}$", examples=["123456"])]


class FactorAdded(BaseModel):
    """The tokens replace the ones you have."""

    factor: FactorRead
    recovery_codes: list[str] | None = Field(
        description="With the first factor, shown once: each works once in place of a lost one."
    )
    tokens: TokensRead


class RecoveryCodes(BaseModel):
    recovery_codes: list[str]


class SecondFactorShown(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: ShownCode


class PasskeyOptions(BaseModel):
    """`options` is what `navigator.credentials` takes."""

    challenge_id: UUID
    options: dict[str, Any]


class PasskeyNew(BaseModel):
    model_config = ConfigDict(extra="forbid")

    challenge_id: UUID
    credential: Credential
    name: NameField = "Passkey"


class PasskeyShown(BaseModel):
    model_config = ConfigDict(extra="forbid")

    challenge_id: UUID
    credential: Credential
