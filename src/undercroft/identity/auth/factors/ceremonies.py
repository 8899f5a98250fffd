"""The WebAuthn ceremonies (Level 3), over the library `webauthn`.

Each needs user verification; whatever a browser sends that is no credential is `PasskeyRefused`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRequestOptions,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from undercroft.identity.auth.factors.errors import PasskeyRefused

# What a body that is not a credential at all raises while it is taken apart.
MALFORMED = (WebAuthnException, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Asked:
    """`options` are what `navigator.credentials` takes, as JSON."""

    challenge: bytes
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A passkey as it was registered, and how often it says it was used."""

    user_id: UUID
    public_key: bytes
    sign_count: int


def ask_for_new(domain: str, app: str, user_id: UUID, user: str, known: list[bytes]) -> Asked:
    return _asked(
        generate_registration_options(
            rp_id=domain,
            rp_name=app,
            user_id=user_id.bytes,
            user_name=user,
            exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
        )
    )


def ask_for_known(domain: str, known: list[bytes]) -> Asked:
    return _asked(
        generate_authentication_options(
            rp_id=domain,
            allow_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
    )


def verify_new(
    credential: dict[str, Any], challenge: bytes, domain: str, origins: list[str]
) -> VerifiedRegistration:
    with _refusing():
        return verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=domain,
            expected_origin=origins,
            require_user_verification=True,
        )


def verify_known(
    credential: dict[str, Any], challenge: bytes, domain: str, origins: list[str], known: Known
) -> int:
    """Return the new count of uses."""
    with _refusing():
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=domain,
            expected_origin=origins,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
            require_user_verification=True,
        )
        handle = credential["response"].get("userHandle")
        if handle and base64url_to_bytes(handle) != known.user_id.bytes:
            raise PasskeyRefused
        return verified.new_sign_count


def read_id(credential: dict[str, Any]) -> bytes:
    with _refusing():
        return base64url_to_bytes(credential["id"])


def _asked(
    options: PublicKeyCredentialCreationOptions | PublicKeyCredentialRequestOptions,
) -> Asked:
    return Asked(options.challenge, orjson.loads(options_to_json(options)))


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except MALFORMED as error:
        raise PasskeyRefused from error
