"""`/auth`, `/sessions` and the published keys."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from undercroft.foundation.access import Needs, Permission, Public, SignedIn, StepUpRequired
from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import (
    CurrentActor,
    OpenSession,
    Router,
    Session,
    Waiting,
    sorted_by,
)
from undercroft.foundation.problems import UnsupportedMediaType
from undercroft.identity.auth import lockout, schemas, service, sessions
from undercroft.identity.auth.callers import (
    AcceptLanguage,
    Language,
    device_of,
    tokens_of,
)
from undercroft.identity.auth.credentials import bearer
from undercroft.identity.auth.errors import (
    AccountNotActive,
    InvalidCredentials,
    InvalidToken,
    PasswordRefused,
    RefreshTokenReused,
    SessionNotFound,
    SignInLocked,
    WrongPassword,
)
from undercroft.identity.parts import IdentityParts
from undercroft.identity.users.errors import AboveYou, UserNotFound
from undercroft.identity.users.identifiers import IdentifierInvalid
from undercroft.identity.users.queries import get_user
from undercroft.identity.users.schemas import PasswordChange
from undercroft.identity.users.service import check_may_change

PERMISSIONS = (
    Permission("sessions:read", "See where others are signed in."),
    Permission("sessions:terminate", "Sign others out."),
    Permission("sign_in_attempts:read", "See which sign-ins are paused after failures."),
    Permission("sign_in_attempts:delete", "End pauses after failed sign-ins."),
)

router = Router("/auth", tag="identity")
users_router = Router("/users", tag="identity")
SessionPage = Annotated[PageRequest, sorted_by("last_used_at", "created_at", "expires_at")]

session_router = Router("/sessions", tag="identity")
well_known = Router("/.well-known", tag="identity")


async def _sign_in_request(request: Request) -> schemas.SignInRequest:
    """Read JSON or the OAuth2 password form, whichever came."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return schemas.SignInRequest.model_validate_json(await request.body())
        if kind in {"application/x-www-form-urlencoded", "multipart/form-data"}:
            async with request.form(max_files=0, max_fields=20) as form:
                return schemas.SignInRequest.model_validate(dict(form))
    except ValidationError as error:
        lines = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**line, "loc": ("body", *line["loc"])} for line in lines]
        ) from error
    raise UnsupportedMediaType("application/json or application/x-www-form-urlencoded")


SIGN_IN_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {
                "schema": {
                    "type": "object",
                    "required": [name, "password"],
                    "properties": {name: {"type": "string"}, "password": {"type": "string"}},
                },
                "example": {name: "ada@example.com", "password": "Correct-Horse-42"},
            }
            for kind, name in (
                ("application/json", "identifier"),
                ("application/x-www-form-urlencoded", "username"),
            )
        },
    }
}


@router.post(
    "/register",
    access=Public("registration"),
    rate="registration",
    status_code=201,
    problems=(IdentifierInvalid, PasswordRefused),
)
async def register(
    new: schemas.Registration,
    session: Session,
    identity: IdentityParts,
    accept_language: AcceptLanguage,
    language: Language,
) -> schemas.Registered:
    """Make an account with a password. The answer does not tell whether the identifier was free.

    A code to confirm the address is on its way; whoever owns an account already is told instead.
    """
    await service.register(session, identity, new, accept_language, now=utc_now())
    message = schemas.REGISTERED(language)
    return schemas.Registered(identifier=new.identifier, message=message)


async def _log_in(
    request: Request, session: OpenSession, identity: IdentityParts, caller: Waiting
) -> schemas.TokensRead:
    body = await _sign_in_request(request)
    device = device_of(request)
    # Who hung up, perhaps to try again, leaves the queue for a hash to those who still wait.
    signed_in = await caller.run(
        service.sign_in(session, identity, body.identifier, body.password, device, now=utc_now())
    )
    return tokens_of(signed_in)


for path, name in (("/login", "login"), ("/login-with-password", "login_with_password")):
    router.post(
        path,
        access=Public("sign-in"),
        rate="login",
        unrecorded="the session that starts is, and so is a failure",
        operation_id=name,
        summary="Sign in with identifier and password",
        description="JSON `identifier`, `password`, or the OAuth2 form `username`, `password`.",
        openapi=SIGN_IN_BODY,
        problems=(InvalidCredentials, AccountNotActive),
    )(_log_in)


async def _refresh(
    body: schemas.RefreshRequest, request: Request, identity: IdentityParts
) -> schemas.TokensRead:
    refreshed = await sessions.refresh_session(
        identity, body.refresh_token, origin=request.headers.get("origin"), now=utc_now()
    )
    return tokens_of(refreshed)


for path, name in (("/refresh", "refresh"), ("/refresh-token", "refresh_token")):
    router.post(
        path,
        access=Public("the refresh token is the credential"),
        rate="refresh",
        unrecorded="once an hour by every client; the session says when it was last used",
        operation_id=name,
        summary="Exchange a refresh token for new tokens",
        description="The same token shown again within 30 s gets the same successor; later it ends "
        "the session.",
        problems=(InvalidToken, RefreshTokenReused),
    )(_refresh)


@router.post(
    "/logout",
    access=Public("works with an expired access token"),
    rate="logout",
    problems=(InvalidToken,),
)
async def logout(
    request: Request,
    session: Session,
    identity: IdentityParts,
    body: schemas.LogoutRequest | None = None,
) -> schemas.Ended:
    """End this session: of the token in the header, expired or not, or of the refresh token."""
    refresh = body.refresh_token if body else None
    ended = await service.log_out(session, identity, bearer(request.headers), refresh)
    return schemas.Ended.of(ended)


@router.get("/token-info", access=SignedIn())
async def get_token_info(actor: CurrentActor) -> schemas.TokenInfo:
    """What your token is and how long it lives."""
    return service.describe_token(actor, now=utc_now())


@router.post(
    "/change-password",
    access=SignedIn(),
    rate="password",
    status_code=204,
    problems=(WrongPassword, PasswordRefused, SignInLocked, StepUpRequired),
)
async def change_password(
    change: PasswordChange, session: Session, actor: CurrentActor, identity: IdentityParts
) -> None:
    """Change your password, as `PATCH users/me/password`. Every other session of yours ends."""
    await service.change_password(
        session, identity, actor, change.current_password, change.new_password, now=utc_now()
    )


@router.post("/logout-all", access=SignedIn(), rate="logout_all")
async def logout_all(session: Session, actor: CurrentActor) -> schemas.Ended:
    """End every session of yours, this one included."""
    assert actor.user_id
    ended = await sessions.end_all_sessions(session, actor.user_id, reason="logout_all")
    return schemas.Ended.of(ended)


@session_router.get("", access=SignedIn())
async def list_sessions(
    session: Session, page: SessionPage, actor: CurrentActor
) -> Page[schemas.SessionRead]:
    """Where you are signed in, newest use first."""
    assert actor.user_id
    return await _sessions(session, actor.user_id, page, current=actor.session_id)


@session_router.delete("/expired", access=SignedIn())
async def delete_expired_sessions(session: Session, actor: CurrentActor) -> schemas.Deleted:
    """Remove the records of your sessions that are over."""
    assert actor.user_id
    return schemas.Deleted(deleted=await sessions.delete_expired_sessions(session, actor.user_id))


@session_router.delete(
    "/{session_id}", access=SignedIn(), status_code=204, problems=(SessionNotFound,)
)
async def end_session(session_id: UUID, session: Session, actor: CurrentActor) -> None:
    """Sign a device of yours out."""
    assert actor.user_id
    await sessions.end_own_session(session, actor.user_id, session_id)


@users_router.get("/{user_id}/sessions", access=Needs("sessions:read"), problems=(UserNotFound,))
async def list_sessions_of_user(
    user_id: UUID, session: Session, page: SessionPage
) -> Page[schemas.SessionRead]:
    """Where somebody is signed in, newest use first."""
    await get_user(session, user_id)
    return await _sessions(session, user_id, page)


async def _sessions(
    session: Session, user_id: UUID, page: SessionPage, *, current: UUID | None = None
) -> Page[schemas.SessionRead]:
    rows, cursor, total = await sessions.list_sessions(session, user_id, page)
    read = [schemas.SessionRead.model_validate(row) for row in rows]
    items = [each.model_copy(update={"is_current": each.id == current}) for each in read]
    return Page[schemas.SessionRead](items=items, next_cursor=cursor, total=total)


@users_router.delete(
    "/{user_id}/sessions", access=Needs("sessions:terminate"), problems=(UserNotFound, AboveYou)
)
async def end_sessions_of_user(
    user_id: UUID, session: Session, actor: CurrentActor
) -> schemas.Ended:
    """Sign somebody out everywhere. They may sign in again: to keep them out, suspend them."""
    await check_may_change(session, await get_user(session, user_id), actor)
    ended = await sessions.end_all_sessions(session, user_id, reason="terminated")
    return schemas.Ended.of(ended)


@users_router.get(
    "/{user_id}/sign-in-attempts",
    access=Needs("sign_in_attempts:read"),
    problems=(UserNotFound,),
)
async def list_sign_in_attempts_of_user(
    user_id: UUID, session: Session
) -> Page[schemas.SignInAttempts]:
    """Failed sign-ins of somebody by identifier and address, and until when they are paused.

    Neither is shown: both are kept as a hash. The activity log has the addresses.
    """
    await get_user(session, user_id)
    rows = await lockout.list_failures(session, user_id)
    return Page[schemas.SignInAttempts].whole(
        [schemas.SignInAttempts.model_validate(row) for row in rows]
    )


@users_router.delete(
    "/{user_id}/sign-in-attempts",
    access=Needs("sign_in_attempts:delete"),
    problems=(UserNotFound, AboveYou),
)
async def forget_sign_in_attempts_of_user(
    user_id: UUID, session: Session, actor: CurrentActor
) -> schemas.Deleted:
    """Let somebody sign in at once who failed too often: every pause of theirs ends."""
    await check_may_change(session, await get_user(session, user_id), actor)
    forgotten = await lockout.forget_failures_of(session, user_id, by=actor.user_id)
    return schemas.Deleted(deleted=forgotten)


@well_known.get("/jwks.json", access=Public("keys to verify our tokens with"))
async def get_jwks(identity: IdentityParts) -> JSONResponse:
    """The public keys of our tokens by `kid` (RFC 7517)."""
    keys: dict[str, Any] = {"keys": await identity.keys.published()}
    return JSONResponse(keys, headers={"Cache-Control": "public, max-age=300"})
