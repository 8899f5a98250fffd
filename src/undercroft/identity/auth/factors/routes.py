"""`/auth`: second factors, passkeys, proving again who is there."""

from uuid import UUID

from undercroft.foundation.access import (
    HalfSignedIn,
    Needs,
    Public,
    SignedIn,
    SteppedUp,
    StepUpRequired,
)
from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import Page
from undercroft.foundation.http import CurrentActor, Router, Session
from undercroft.identity.auth import sessions
from undercroft.identity.auth.callers import CallersDevice, tokens_of
from undercroft.identity.auth.codes.schemas import PasswordProof
from undercroft.identity.auth.errors import AccountNotActive, SignInLocked, WrongPassword
from undercroft.identity.auth.factors import passkeys, schemas, service
from undercroft.identity.auth.factors.errors import (
    FactorNotFound,
    PasskeyRefused,
    SecondFactorInvalid,
    TooManyFactors,
)
from undercroft.identity.auth.schemas import TokensRead
from undercroft.identity.auth.service import check_own_password
from undercroft.identity.parts import IdentityParts
from undercroft.identity.users.errors import AboveYou, UserNotFound

CHALLENGE = "a challenge; what is done with it is recorded"

router = Router("/auth", tag="identity")
users_router = Router("/users", tag="identity")


@router.get("/factors", access=SignedIn())
async def list_factors(session: Session, actor: CurrentActor) -> Page[schemas.FactorRead]:
    """Your second factors."""
    assert actor.user_id
    factors = await service.list_factors(session, actor.user_id)
    return Page[schemas.FactorRead].whole(
        [schemas.FactorRead.model_validate(factor) for factor in factors]
    )


@router.post(
    "/factors/totp",
    access=SteppedUp(),
    status_code=201,
    problems=(TooManyFactors, StepUpRequired),
)
async def begin_totp(
    new: schemas.TotpNew, session: Session, actor: CurrentActor, identity: IdentityParts
) -> schemas.TotpSecret:
    """Begin to add an authenticator app: scan the URI, then confirm a code of it."""
    assert actor.user_id
    factor_id, secret, uri = await service.begin_totp(session, identity, actor.user_id, new.name)
    return schemas.TotpSecret(id=factor_id, secret=secret, uri=uri)


@router.post(
    "/factors/totp/{factor_id}/confirm",
    access=SteppedUp(),
    rate="second_factor",
    problems=(FactorNotFound, SecondFactorInvalid, StepUpRequired),
)
async def confirm_totp(
    factor_id: UUID,
    body: schemas.TotpConfirm,
    session: Session,
    actor: CurrentActor,
    identity: IdentityParts,
) -> schemas.FactorAdded:
    """Finish adding an authenticator app. Signing in needs it from now on."""
    added = await service.confirm_totp(
        session, identity, actor, factor_id, body.code, now=utc_now()
    )
    return _added(added)


@router.post(
    "/factors/passkeys/options",
    access=SteppedUp(),
    unrecorded=CHALLENGE,
    problems=(TooManyFactors, StepUpRequired),
)
async def begin_passkey(
    session: Session, actor: CurrentActor, identity: IdentityParts
) -> schemas.PasskeyOptions:
    """Begin to add a passkey: what `navigator.credentials.create` takes."""
    assert actor.user_id
    begun = await service.begin_passkey(session, identity, actor.user_id, now=utc_now())
    return schemas.PasskeyOptions(challenge_id=begun[0], options=begun[1])


@router.post(
    "/factors/passkeys",
    access=SteppedUp(),
    rate="second_factor",
    status_code=201,
    problems=(PasskeyRefused, StepUpRequired),
)
async def add_passkey(
    new: schemas.PasskeyNew, session: Session, actor: CurrentActor, identity: IdentityParts
) -> schemas.FactorAdded:
    """Finish adding a passkey. It is a second factor, and signs in alone too."""
    added = await service.add_passkey(
        session, identity, actor, new.challenge_id, new.credential, name=new.name, now=utc_now()
    )
    return _added(added)


@router.delete(
    "/factors/{factor_id}",
    access=SteppedUp(),
    status_code=204,
    problems=(FactorNotFound, StepUpRequired),
)
async def remove_factor(
    factor_id: UUID, session: Session, actor: CurrentActor, identity: IdentityParts
) -> None:
    """Remove a second factor of yours."""
    assert actor.user_id
    await service.remove_factor(session, identity, actor.user_id, factor_id)


@users_router.delete(
    "/{user_id}/factors",
    access=Needs("users:suspend"),
    status_code=204,
    problems=(UserNotFound, AboveYou),
)
async def remove_factors_of_user(
    user_id: UUID, session: Session, actor: CurrentActor, identity: IdentityParts
) -> None:
    """Remove every second factor of an account whose owner lost theirs; it is signed out."""
    await service.remove_all_factors(session, identity, user_id, actor=actor)


@router.post("/recovery-codes", access=SteppedUp(), problems=(StepUpRequired,))
async def replace_recovery_codes(
    session: Session, actor: CurrentActor, identity: IdentityParts
) -> schemas.RecoveryCodes:
    """New recovery codes, shown once; the old ones stop working."""
    assert actor.user_id
    codes = await service.replace_recovery_codes(session, identity, actor.user_id)
    return schemas.RecoveryCodes(recovery_codes=codes)


@router.post(
    "/second-factor",
    access=HalfSignedIn(),
    rate="second_factor",
    problems=(SecondFactorInvalid, SignInLocked),
)
async def show_second_factor(
    body: schemas.SecondFactorShown,
    session: Session,
    actor: CurrentActor,
    identity: IdentityParts,
) -> TokensRead:
    """Finish signing in with a code of an app or a recovery code; or step up again later."""
    signed_in = await service.show_code(session, identity, actor, body.code, now=utc_now())
    return tokens_of(signed_in)


@router.post("/second-factor/passkey/options", access=HalfSignedIn(), unrecorded=CHALLENGE)
async def begin_showing_passkey(
    session: Session, actor: CurrentActor, identity: IdentityParts
) -> schemas.PasskeyOptions:
    """What `navigator.credentials.get` takes, for a passkey of this account."""
    begun = await service.begin_showing_passkey(session, identity, actor, now=utc_now())
    return schemas.PasskeyOptions(challenge_id=begun[0], options=begun[1])


@router.post(
    "/second-factor/passkey",
    access=HalfSignedIn(),
    rate="second_factor",
    problems=(PasskeyRefused,),
)
async def show_passkey(
    body: schemas.PasskeyShown, session: Session, actor: CurrentActor, identity: IdentityParts
) -> TokensRead:
    """Finish signing in with a passkey; or step up again later."""
    signed_in = await service.show_passkey(
        session, identity, actor, body.challenge_id, body.credential, now=utc_now()
    )
    return tokens_of(signed_in)


@router.post("/passkeys/options", access=Public("sign-in"), rate="login", unrecorded=CHALLENGE)
async def begin_passkey_sign_in(
    session: Session, identity: IdentityParts
) -> schemas.PasskeyOptions:
    """What `navigator.credentials.get` takes; it names nobody, so it tells nothing."""
    begun = await passkeys.begin_authentication(
        session, identity, "sign_in", None, [], now=utc_now()
    )
    return schemas.PasskeyOptions(challenge_id=begun[0], options=begun[1])


@router.post(
    "/login-with-passkey",
    access=Public("sign-in"),
    rate="login",
    problems=(PasskeyRefused, AccountNotActive),
)
async def login_with_passkey(
    body: schemas.PasskeyShown, session: Session, identity: IdentityParts, device: CallersDevice
) -> TokensRead:
    """Sign in with a passkey alone."""
    signed_in = await service.sign_in_with_passkey(
        session, identity, body.challenge_id, body.credential, device, now=utc_now()
    )
    return tokens_of(signed_in)


@router.post(
    "/reauthenticate",
    access=SignedIn(),
    rate="password",
    problems=(WrongPassword, SignInLocked, StepUpRequired),
)
async def reauthenticate(
    body: PasswordProof, session: Session, actor: CurrentActor, identity: IdentityParts
) -> TokensRead:
    """Prove again who you are, for dangerous acts. With a second factor, show that instead."""
    if actor.has_second_factor:
        raise StepUpRequired
    assert actor.session_id
    now = utc_now()
    await check_own_password(identity, actor, body.password, now=now)
    signed_in = await sessions.show_again(
        session, identity, actor.session_id, method="password", now=now
    )
    return tokens_of(signed_in)


def _added(added: service.Added) -> schemas.FactorAdded:
    return schemas.FactorAdded(
        factor=schemas.FactorRead.model_validate(added.factor),
        recovery_codes=added.recovery_codes,
        tokens=tokens_of(added.signed_in),
    )
