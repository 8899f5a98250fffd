"""`/auth`: one-time codes, passwords without the old one."""

from undercroft.foundation.access import Public, SignedIn, SteppedUp
from undercroft.foundation.clock import utc_now
from undercroft.foundation.http import CurrentActor, Parts, Router, Session
from undercroft.identity.auth import recovery
from undercroft.identity.auth.callers import AcceptLanguage, CallersDevice, Language, tokens_of
from undercroft.identity.auth.codes import entry, schemas, service
from undercroft.identity.auth.codes.errors import (
    ChannelMismatch,
    CodeInvalid,
    LinkInvalid,
    TooManyCodes,
)
from undercroft.identity.auth.codes.service import Ask
from undercroft.identity.auth.errors import (
    AccountNotActive,
    PasswordAlreadySet,
    PasswordRefused,
    RegistrationClosed,
)
from undercroft.identity.auth.schemas import TokensRead
from undercroft.identity.parts import IdentityParts
from undercroft.identity.users.errors import IdentifierTaken
from undercroft.identity.users.identifiers import IdentifierInvalid, parse_identifier

router = Router("/auth", tag="identity")

THE_CODE = Public("the code is the credential")


def _ask(body: schemas.SignInCode | schemas.SignUpCode | schemas.ContactCode) -> Ask:
    return Ask(body.purpose, parse_identifier(body.identifier), body.channel)


@router.post(
    "/send-one-time-password",
    access=Public("asking for a code"),
    rate="one_time_code",
    problems=(IdentifierInvalid, ChannelMismatch, TooManyCodes),
)
async def send_one_time_password(
    body: schemas.CodeRequest,
    session: Session,
    identity: IdentityParts,
    parts: Parts,
    accept_language: AcceptLanguage,
    language: Language,
) -> schemas.CodeSent:
    """Send a six-digit code. Answers alike whether or not anybody has the identifier."""
    identifier = parse_identifier(body.identifier)
    await parts.limiter.hit("one_time_code", f"{identifier.kind} {identifier.value}")
    ask = Ask(body.purpose, identifier, body.channel, accept_language)
    await service.request_secret(session, identity, ask, now=utc_now())
    return schemas.CodeSent(message=schemas.CODE_SENT(language))


@router.post(
    "/verify-one-time-password",
    access=THE_CODE,
    rate="code_check",
    unrecorded="looks and changes nothing",
    problems=(IdentifierInvalid, CodeInvalid),
)
async def verify_one_time_password(
    body: schemas.CodeCheck, identity: IdentityParts
) -> schemas.CodeRight:
    """Look whether a code is right, without using it up. A wrong one costs a try."""
    ask = Ask(body.purpose, parse_identifier(body.identifier), body.channel)
    await service.prove_code(identity, ask, body.otp, now=utc_now(), keep_tries=True)
    return schemas.CodeRight()


@router.post(
    "/login-with-otp",
    access=THE_CODE,
    rate="login",
    problems=(IdentifierInvalid, CodeInvalid, AccountNotActive),
)
async def login_with_otp(
    body: schemas.SignInCode, session: Session, identity: IdentityParts, device: CallersDevice
) -> TokensRead:
    """Sign in with a code sent for `sign_in`; the contact it went to is verified by that."""
    signed_in = await entry.sign_in_with_code(
        session, identity, _ask(body), body.otp, device, now=utc_now()
    )
    return tokens_of(signed_in)


@router.post(
    "/verify",
    access=THE_CODE,
    rate="registration",
    status_code=201,
    problems=(IdentifierInvalid, CodeInvalid, IdentifierTaken, RegistrationClosed),
)
async def verify(
    body: schemas.SignUpCode, session: Session, identity: IdentityParts, device: CallersDevice
) -> TokensRead:
    """Sign up with a code sent for `sign_up`. The account has no password yet."""
    signed_in = await entry.sign_up_with_code(
        session, identity, _ask(body), body.otp, device, now=utc_now()
    )
    return tokens_of(signed_in)


@router.post(
    "/verify-email-and-phone",
    access=SignedIn(),
    rate="code_check",
    problems=(IdentifierInvalid, ChannelMismatch, CodeInvalid),
)
async def verify_email_and_phone(
    body: schemas.ContactCode, session: Session, actor: CurrentActor, identity: IdentityParts
) -> schemas.ContactConfirmed:
    """Confirm a contact of yours with the code sent to it for `verify_contact`."""
    ask = _ask(body)
    await entry.confirm_contact(session, identity, actor, ask, body.otp, now=utc_now())
    return schemas.ContactConfirmed(identifier=ask.identifier.value, channel=body.channel)


@router.post(
    "/check-user-availability",
    access=Public("before signing up"),
    rate="availability",
    unrecorded="a question",
    problems=(IdentifierInvalid,),
)
async def check_user_availability(
    body: schemas.AvailabilityRequest, session: Session, identity: IdentityParts
) -> schemas.Availability:
    """Whether an identifier is free."""
    identifier = parse_identifier(body.identifier)
    return schemas.Availability(available=await entry.is_available(session, identity, identifier))


@router.post(
    "/password-reset/request",
    access=Public("asking for a password reset"),
    rate="reset_request",
    problems=(IdentifierInvalid, TooManyCodes),
)
async def request_password_reset(
    body: schemas.ResetRequest,
    session: Session,
    identity: IdentityParts,
    accept_language: AcceptLanguage,
    language: Language,
) -> schemas.ResetSent:
    """Send a link to choose a new password. Answers alike for known and unknown identifiers."""
    identifier = parse_identifier(body.identifier)
    await recovery.request_reset(session, identity, identifier, accept_language, now=utc_now())
    return schemas.ResetSent(message=schemas.LINK_SENT(language))


@router.post(
    "/password-reset/confirm",
    access=Public("the link's token is the credential"),
    rate="reset_confirm",
    status_code=204,
    problems=(LinkInvalid, PasswordRefused),
)
async def confirm_password_reset(
    body: schemas.ResetConfirm, session: Session, identity: IdentityParts
) -> None:
    """Set a new password with the token of the link. Every session of the account ends."""
    await recovery.reset_by_link(session, identity, body.token, body.new_password, now=utc_now())


@router.post(
    "/forget-password",
    access=Public("the code or token is the credential"),
    rate="reset_confirm",
    status_code=204,
    problems=(IdentifierInvalid, CodeInvalid, LinkInvalid, PasswordRefused),
)
async def forget_password(
    body: schemas.ForgetPassword, session: Session, identity: IdentityParts
) -> None:
    """Set a new password with a code sent for `password_reset` or the token of a link."""
    now = utc_now()
    if body.token:
        await recovery.reset_by_link(session, identity, body.token, body.new_password, now=now)
        return
    assert body.identifier
    assert body.channel
    assert body.otp
    ask = Ask(body.purpose, parse_identifier(body.identifier), body.channel)
    await recovery.reset_by_code(session, identity, ask, body.otp, body.new_password, now=now)


@router.post(
    "/set-password",
    access=SteppedUp(),
    rate="password",
    status_code=204,
    problems=(PasswordAlreadySet, PasswordRefused),
)
async def set_password(
    body: schemas.FirstPassword, session: Session, actor: CurrentActor, identity: IdentityParts
) -> None:
    """Give your account its first password, shortly after signing in."""
    await recovery.set_first_password(session, identity, actor, body.new_password)
