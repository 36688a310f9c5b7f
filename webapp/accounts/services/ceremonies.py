"""WebAuthn's two ceremonies: what a browser is asked, and whether its answer is true.

https://www.w3.org/TR/webauthn-3/#sctn-rp-operations; the checks themselves are py_webauthn's.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import webauthn
from redis import RedisError
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import bytes_to_base64url, parse_authentication_credential_json
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from webapp.accounts.errors import PasskeyExpired, PasskeyRefused
from webapp.accounts.models import Passkey, User
from webapp.core.redis import redis_client
from webapp.core.state import current_config, current_fork

logger = logging.getLogger(__name__)

# How long a challenge waits for its answer.
CHALLENGE_SECONDS = 300
# More would not fit the form; the largest answers (RSA keys) have some 2,000.
MAX_ANSWER = 20_000


@dataclass(frozen=True, slots=True)
class Party:
    """Who we are to an authenticator: the host a passkey is bound to, and its pages' origin."""

    id: str
    origin: str


def relying_party() -> Party:
    """Return us as BASE_URL says, never as the request's Host header does."""
    parts = urlsplit(current_config().base_url)
    return Party(parts.hostname or "", f"{parts.scheme}://{parts.netloc}")


def ask_for_new(user: User, shop: str, challenge: bytes, present: Iterable[Passkey]) -> str:
    """Return, as JSON, the options for navigator.credentials.create().

    Discoverable, so that it opens the door without an address typed; with user verification, so
    that it counts as two factors; without attestation, as any maker's will do.
    """
    options = webauthn.generate_registration_options(
        rp_id=relying_party().id,
        rp_name=shop,
        user_id=user.id.bytes,
        user_name=user.email,
        challenge=challenge,
        timeout=CHALLENGE_SECONDS * 1000,
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_describe(present),
    )
    return webauthn.options_to_json(options)


def ask_for_known(challenge: bytes, allowed: Iterable[Passkey] = ()) -> str:
    """Return, as JSON, the options for navigator.credentials.get(); ``allowed`` empty is any."""
    options = webauthn.generate_authentication_options(
        rp_id=relying_party().id,
        challenge=challenge,
        timeout=CHALLENGE_SECONDS * 1000,
        allow_credentials=_describe(allowed),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return webauthn.options_to_json(options)


def check_new(answer: object, challenge: bytes) -> VerifiedRegistration:
    """Return what create() made. Raises PasskeyRefused or PasskeyExpired."""
    claim(challenge)
    party = relying_party()
    try:
        return webauthn.verify_registration_response(
            credential=_whole(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except Exception as error:
        raise _refusal(error) from None


def read_answer(answer: object) -> AuthenticationCredential:
    """Return what get() answered, unchecked: it says which passkey to check it with."""
    try:
        return parse_authentication_credential_json(_whole(answer))
    except Exception as error:
        raise _refusal(error) from None


def check_known(
    answer: AuthenticationCredential, challenge: bytes, passkey: Passkey
) -> VerifiedAuthentication:
    """Return what get() proved. Raises PasskeyRefused or PasskeyExpired."""
    claim(challenge)
    handle = answer.response.user_handle
    if handle is not None and handle != passkey.user_id.bytes:
        raise PasskeyRefused
    party = relying_party()
    try:
        return webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except Exception as error:
        raise _refusal(error) from None


def claim(challenge: bytes) -> None:
    """Use a challenge up. Raises PasskeyExpired for one that was used.

    It waits in the visitor's signed cookie, and a cookie can be sent twice. Without Redis its
    five minutes, the page's own forgetting and the sign count must do.
    """
    key = current_fork().redis_key("challenge", bytes_to_base64url(challenge))
    try:
        first = redis_client().set(key, 1, nx=True, ex=2 * CHALLENGE_SECONDS)
    except RedisError:
        return
    if not first:
        raise PasskeyExpired


def _whole(answer: object) -> dict[str, Any] | str:
    if not isinstance(answer, dict | str) or len(str(answer)) > MAX_ANSWER:
        raise PasskeyRefused
    return answer


def _refusal(error: Exception) -> PasskeyRefused:
    # What a stranger sent can fail in as many ways as there are parsers: all are one answer.
    logger.info("passkey refused", extra={"why": type(error).__name__})
    return PasskeyRefused()


def _describe(passkeys: Iterable[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    known = {transport.value for transport in AuthenticatorTransport}
    return [
        PublicKeyCredentialDescriptor(
            id=passkey.credential_id,
            transports=[AuthenticatorTransport(t) for t in passkey.transports if t in known],
        )
        for passkey in passkeys
    ]
