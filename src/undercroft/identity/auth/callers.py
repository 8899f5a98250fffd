"""What the routes of sign-in want to know of a request, and how they answer it."""

from typing import Annotated

from fastapi import Depends, Request

from undercroft.foundation.http.router import client_address
from undercroft.foundation.languages import negotiate
from undercroft.identity.auth import schemas
from undercroft.identity.auth.devices import Device, read_device
from undercroft.identity.auth.sessions import SignIn
from undercroft.identity.users.schemas import UserRead


def device_of(request: Request) -> Device:
    headers = request.headers
    place = request.app.state.parts.settings.http.place_header
    return read_device(
        headers.get("user-agent"),
        client_address(request),
        headers.get("origin"),
        device_id=headers.get("x-device-id"),
        place=headers.get(place) if place else None,
    )


async def _accept_language(request: Request) -> str | None:
    return request.headers.get("accept-language")


async def _language(request: Request) -> str:
    return negotiate(request.headers.get("accept-language"), request.state.actor.language)


async def _device(request: Request) -> Device:
    return device_of(request)


CallersDevice = Annotated[Device, Depends(_device)]
# What the answer is written in.
Language = Annotated[str, Depends(_language)]
AcceptLanguage = Annotated[str | None, Depends(_accept_language)]


def tokens_of(signed_in: SignIn) -> schemas.TokensRead:
    return schemas.TokensRead(
        access_token=signed_in.access_token,
        session_token=signed_in.session_token,
        refresh_token=signed_in.refresh_token,
        session_id=signed_in.session_id,
        expires_in=signed_in.expires_in,
        second_factors=list(signed_in.second_factors),
        user=UserRead.model_validate(signed_in.user),
    )
