"""One-time codes on the wire."""

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from undercroft.foundation.phrases import Phrase
from undercroft.identity.auth.codes.models import Purpose
from undercroft.identity.users.schemas import IdentifierField, PasswordField
from undercroft.notifications import Channel

CODE_SENT = Phrase("code_sent", "If a code can be sent there, it is on its way.")
LINK_SENT = Phrase("link_sent", "If there is such an account, a link is on its way.")
ONE_PROOF = Phrase("one_proof", "Send either token, or identifier, channel and otp.")
CodeField = Annotated[str, Field(pattern=r"^[0-9]{6}$", examples=["123456"])]
# What anybody may ask for; a change of contact is asked for where the change is made.
PublicPurpose = Literal[
    Purpose.SIGN_IN, Purpose.SIGN_UP, Purpose.PASSWORD_RESET, Purpose.VERIFY_CONTACT
]


class CodeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    identifier: IdentifierField
    channel: Channel
    purpose: PublicPurpose = Purpose.SIGN_IN


class CodeSent(BaseModel):
    """The same whether or not anybody has the identifier."""

    message: str = Field(examples=[CODE_SENT.english])


class CodeCheck(CodeRequest):
    otp: CodeField


class CodeRight(BaseModel):
    valid: Literal[True] = True


class CodeUse(BaseModel):
    """A code whose purpose the route says; who names one as well must name the same."""

    model_config = ConfigDict(extra="forbid")

    identifier: IdentifierField
    channel: Channel
    otp: CodeField


class SignInCode(CodeUse):
    purpose: Literal[Purpose.SIGN_IN] = Purpose.SIGN_IN


class SignUpCode(CodeUse):
    purpose: Literal[Purpose.SIGN_UP] = Purpose.SIGN_UP


class ContactCode(CodeUse):
    purpose: Literal[Purpose.VERIFY_CONTACT] = Purpose.VERIFY_CONTACT


class ContactConfirmed(BaseModel):
    identifier: str
    channel: Channel
    verified: Literal[True] = True


class AvailabilityRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    identifier: IdentifierField


class Availability(BaseModel):
    available: bool = Field(description="True when the identifier is free.")


class ResetRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    identifier: IdentifierField


class ResetSent(BaseModel):
    """The same whether or not anybody has the identifier."""

    message: str = Field(examples=[LINK_SENT.english])


class ResetConfirm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=512)]
    new_password: PasswordField


OptionalIdentifier = Annotated[
    str | None,
    Field(
        validation_alias=AliasChoices(
            "identifier", "email", "phone_number", "phone", "username", "user_id"
        ),
        min_length=1,
        max_length=320,
    ),
]


class ForgetPassword(BaseModel):
    """Either the mailed `token`, or `identifier`, `channel` and `otp`."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    identifier: OptionalIdentifier = None
    channel: Channel | None = None
    otp: CodeField | None = None
    purpose: Literal[Purpose.PASSWORD_RESET] = Purpose.PASSWORD_RESET
    new_password: PasswordField

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        by_code = (self.identifier, self.channel, self.otp)
        if (self.token is None) == (None in by_code) or (self.token and any(by_code)):
            raise ONE_PROOF.refusal()
        return self


class FirstPassword(BaseModel):
    model_config = ConfigDict(extra="forbid")

    new_password: PasswordField


class PasswordProof(BaseModel):
    model_config = ConfigDict(extra="forbid")

    password: PasswordField
