"""`/settings`: another e-mail address or phone number for one's account."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from undercroft.foundation.access import SignedIn, SteppedUp, StepUpRequired
from undercroft.foundation.clock import utc_now
from undercroft.foundation.http import CurrentActor, Parts, Router, Session
from undercroft.identity.auth.callers import AcceptLanguage, Language
from undercroft.identity.auth.codes.errors import CodeInvalid, TooManyCodes
from undercroft.identity.auth.codes.schemas import CODE_SENT, CodeField, CodeSent
from undercroft.identity.auth.contact_change import change_contact, request_contact_change
from undercroft.identity.parts import IdentityParts
from undercroft.identity.users.errors import IdentifierTaken
from undercroft.identity.users.identifiers import (
    Identifier,
    IdentifierInvalid,
    parse_email,
    parse_phone,
)
from undercroft.identity.users.settings_schemas import ProfileRead
from undercroft.notifications import Channel

router = Router("/settings", tag="identity")

EmailField = Annotated[
    str,
    Field(
        validation_alias=AliasChoices("new_email", "email"),
        min_length=3,
        max_length=320,
        examples=["ada.new@example.com"],
    ),
]
PhoneField = Annotated[
    str,
    Field(
        validation_alias=AliasChoices("new_phone", "phone", "phone_number"),
        min_length=3,
        max_length=64,
        examples=["+4915112345678"],
    ),
]
PhoneChannel = Literal[Channel.SMS, Channel.WHATSAPP]


class EmailChangeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    new_email: EmailField


class EmailChange(EmailChangeRequest):
    otp: CodeField


class PhoneChangeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    new_phone: PhoneField
    channel: PhoneChannel = Channel.SMS


class PhoneChange(PhoneChangeRequest):
    otp: CodeField


ASK_PROBLEMS = (IdentifierInvalid, TooManyCodes, StepUpRequired)
CHANGE_PROBLEMS = (IdentifierInvalid, CodeInvalid, IdentifierTaken)


async def _send(
    contact: Identifier,
    channel: Channel,
    session: Session,
    actor: CurrentActor,
    identity: IdentityParts,
    parts: Parts,
    accept_language: str | None,
) -> None:
    await parts.limiter.hit("one_time_code", f"{contact.kind} {contact.value}")
    await request_contact_change(
        session, identity, actor, contact, channel, accept_language, now=utc_now()
    )


@router.post(
    "/change-email/request", access=SteppedUp(), rate="one_time_code", problems=ASK_PROBLEMS
)
async def request_email_change(
    body: EmailChangeRequest,
    session: Session,
    actor: CurrentActor,
    identity: IdentityParts,
    parts: Parts,
    accept_language: AcceptLanguage,
    language: Language,
) -> CodeSent:
    """Send a code to the e-mail address that your account shall have.

    Answers alike whether or not another account has it.
    """
    contact = Identifier("email", parse_email(body.new_email))
    await _send(contact, Channel.EMAIL, session, actor, identity, parts, accept_language)
    return CodeSent(message=CODE_SENT(language))


@router.post("/change-email", access=SignedIn(), rate="code_check", problems=CHANGE_PROBLEMS)
async def change_email(
    body: EmailChange, session: Session, actor: CurrentActor, identity: IdentityParts
) -> ProfileRead:
    """Change your e-mail address with the code that was sent to the new one.

    The new address is verified by that; your other sessions end, and the old address is told if
    it was verified.
    """
    contact = Identifier("email", parse_email(body.new_email))
    user = await change_contact(
        session, identity, actor, contact, Channel.EMAIL, body.otp, now=utc_now()
    )
    return ProfileRead.model_validate(user)


async def _request_phone_change(
    body: PhoneChangeRequest,
    session: Session,
    actor: CurrentActor,
    identity: IdentityParts,
    parts: Parts,
    accept_language: AcceptLanguage,
    language: Language,
) -> CodeSent:
    contact = Identifier("phone", parse_phone(body.new_phone))
    await _send(contact, body.channel, session, actor, identity, parts, accept_language)
    return CodeSent(message=CODE_SENT(language))


# The second path is the one that clients of earlier systems call.
for path, name in (
    ("/change-phone/request", "request_phone_change"),
    ("/send-phone-otp", "send_phone_otp"),
):
    router.post(
        path,
        access=SteppedUp(),
        rate="one_time_code",
        operation_id=name,
        summary="Send a code to a new phone number",
        description="By SMS or WhatsApp, to the number that your account shall have. Answers alike "
        "whether or not another account has it.",
        problems=ASK_PROBLEMS,
    )(_request_phone_change)


@router.post("/change-phone", access=SignedIn(), rate="code_check", problems=CHANGE_PROBLEMS)
async def change_phone(
    body: PhoneChange, session: Session, actor: CurrentActor, identity: IdentityParts
) -> ProfileRead:
    """Change your phone number with the code that was sent to the new one.

    The new number is verified by that; your other sessions end, and the old number is told if it
    was verified.
    """
    contact = Identifier("phone", parse_phone(body.new_phone))
    user = await change_contact(
        session, identity, actor, contact, body.channel, body.otp, now=utc_now()
    )
    return ProfileRead.model_validate(user)
