"""`/auth`: to a provider and back, linked identities."""

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from undercroft.foundation.access import Public, SignedIn, SteppedUp, StepUpRequired
from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import Page
from undercroft.foundation.http import CurrentActor, Router, Session
from undercroft.foundation.problems import Problem
from undercroft.identity.auth.callers import device_of, tokens_of
from undercroft.identity.auth.errors import AccountNotActive, InvalidToken, RegistrationClosed
from undercroft.identity.auth.providers import schemas, service
from undercroft.identity.auth.providers.errors import (
    AccountExists,
    FlowInvalid,
    GrantInvalid,
    IdentityNotFound,
    IdentityTaken,
    LastWayIn,
    ProviderAway,
    ProviderNotFound,
    ProviderRefused,
    RedirectRefused,
)
from undercroft.identity.auth.providers.service import Begun, Wish
from undercroft.identity.auth.schemas import TokensRead
from undercroft.identity.auth.starting import start_session
from undercroft.identity.parts import IdentityParts

router = Router("/auth", tag="identity")

# The prefix makes browsers refuse one that another host, a subdomain or plain HTTP set.
COOKIE = "__Host-undercroft-flow"
COOKIE_SECONDS = 600
BEGIN_PROBLEMS = (ProviderNotFound, ProviderAway, RedirectRefused)
BACK_PROBLEMS = (
    ProviderNotFound,
    ProviderAway,
    ProviderRefused,
    FlowInvalid,
    AccountExists,
    AccountNotActive,
    IdentityTaken,
    InvalidToken,
    RegistrationClosed,
)


@router.get("/providers", access=Public("the buttons of a sign-in page"))
async def list_providers(identity: IdentityParts) -> Page[schemas.ProviderRead]:
    """Whom people may sign in with here."""
    providers = identity.providers.all()
    return Page[schemas.ProviderRead].whole(
        [schemas.ProviderRead(name=each.name, title=each.title) for each in providers]
    )


@router.get(
    "/authorize/{provider}",
    access=Public("sign-in"),
    rate="provider",
    status_code=303,
    response_class=RedirectResponse,
    problems=BEGIN_PROBLEMS,
)
async def authorize(
    provider: str,
    session: Session,
    identity: IdentityParts,
    redirect_to: Annotated[
        str | None, Query(max_length=2000, description="Where to go afterwards, with `code`.")
    ] = None,
    code_challenge: Annotated[
        str | None, Query(pattern=r"^[A-Za-z0-9_-]{43}$", description="S256, for the exchange.")
    ] = None,
) -> Response:
    """Begin to sign in with a provider: send the browser here."""
    wish = Wish(redirect_to, code_challenge)
    begun = await service.begin(session, identity, provider, wish, now=utc_now())
    return _with_cookie(RedirectResponse(begun.url, 303), begun, identity, provider)


async def _come_back(
    provider: str, request: Request, session: Session, identity: IdentityParts
) -> Response:
    answer = request.query_params if request.method == "GET" else await request.form()
    now = utc_now()
    back = await service.take_flow(
        identity,
        provider,
        state=_text(answer.get("state")),
        browser=request.cookies.get(COOKIE),
        now=now,
    )
    code, issuer = _text(answer.get("code")), _text(answer.get("iss"))
    try:
        user = await service.settle(session, identity, back, code=code, issuer=issuer, now=now)
    except Problem as problem:
        if back.wish.redirect_to is None:
            raise
        return _gone(back.wish.redirect_to, {"error": problem.code})
    if user is None:
        return _gone(back.wish.redirect_to, {})
    if back.wish.redirect_to:
        grant = await service.grant_sign_in(session, user, back, now=now)
        return _gone(back.wish.redirect_to, {"code": grant})
    method = service.method_of(provider)
    signed_in = await start_session(
        session, identity, user, device_of(request), method=method, now=now
    )
    tokens = tokens_of(signed_in)
    return _without_cookie(JSONResponse(tokens.model_dump(mode="json")))


for method, name in (("GET", "callback"), ("POST", "callback_posted")):
    router.route(
        method,
        "/callback/{provider}",
        access=Public("the provider's answer is the credential"),
        rate="provider",
        operation_id=name,
        summary="Where a provider sends the browser back to",
        description="Answers with tokens, or goes on to `redirect_to` with a `code` to exchange "
        "or the code of a problem as `error`.",
        response_model=None,
        problems=BACK_PROBLEMS,
    )(_come_back)


@router.post(
    "/exchange",
    access=Public("the code and its verifier are the credential"),
    rate="login",
    problems=(GrantInvalid, AccountNotActive),
)
async def exchange_code(
    body: schemas.Exchange, request: Request, session: Session, identity: IdentityParts
) -> TokensRead:
    """Tokens for the `code` that came with the redirect, once and within a minute."""
    signed_in = await service.exchange(
        session, identity, body.code, body.code_verifier, device_of(request), now=utc_now()
    )
    return tokens_of(signed_in)


@router.get("/identities", access=SignedIn())
async def list_identities(session: Session, actor: CurrentActor) -> Page[schemas.IdentityRead]:
    """Who you are elsewhere, as far as it signs you in here."""
    assert actor.user_id
    rows = await service.list_identities(session, actor.user_id)
    return Page[schemas.IdentityRead].whole(
        [schemas.IdentityRead.model_validate(row) for row in rows]
    )


@router.post(
    "/identities/{provider}",
    access=SteppedUp(),
    rate="provider",
    response_model=schemas.LinkBegun,
    problems=(*BEGIN_PROBLEMS, StepUpRequired),
)
async def link_identity(
    provider: str,
    body: schemas.LinkRequest,
    session: Session,
    actor: CurrentActor,
    identity: IdentityParts,
) -> Response:
    """Begin to link a provider to your account: then send the browser to `url`."""
    wish = Wish(body.redirect_to, session_id=actor.session_id)
    begun = await service.begin(session, identity, provider, wish, now=utc_now())
    return _with_cookie(JSONResponse({"url": begun.url}), begun, identity, provider)


@router.delete(
    "/identities/{identity_id}",
    access=SteppedUp(),
    status_code=204,
    problems=(IdentityNotFound, LastWayIn, StepUpRequired),
)
async def unlink_identity(identity_id: UUID, session: Session, actor: CurrentActor) -> None:
    """Stop signing in with an identity."""
    assert actor.user_id
    await service.unlink_identity(session, actor.user_id, identity_id)


def _with_cookie(
    response: Response, begun: Begun, identity: IdentityParts, provider: str
) -> Response:
    # A form posted from the provider's page carries no Lax cookie.
    posts_back = identity.providers.get(provider).posts_back
    response.set_cookie(
        COOKIE,
        begun.browser,
        max_age=COOKIE_SECONDS,
        path="/",
        secure=True,
        httponly=True,
        samesite="none" if posts_back else "lax",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _without_cookie(response: Response) -> Response:
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True)
    response.headers["Cache-Control"] = "no-store"
    return response


def _gone(redirect_to: str | None, values: dict[str, str]) -> Response:
    if redirect_to is None:
        return _without_cookie(Response(status_code=204))
    joint = "&" if "?" in redirect_to else "?"
    url = f"{redirect_to}{joint}{urlencode(values)}" if values else redirect_to
    return _without_cookie(RedirectResponse(url, 303))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
