"""A passkey's challenge waits in the signed session: for one purpose, one use and five minutes."""

from enum import StrEnum
from typing import Any

from flask import Response, make_response, request, session
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, generate_challenge

from webapp.accounts.errors import PasskeyExpired
from webapp.accounts.services.ceremonies import CHALLENGE_SECONDS
from webapp.accounts.views.guard import same_site
from webapp.core import clock

_KEPT = "passkey_challenge"


class Purpose(StrEnum):
    """What a passkey is shown or made for: an answer given for one is none for another."""

    LOGIN = "login"
    PROVE = "prove"
    ADD = "add"


def new_challenge(purpose: Purpose) -> bytes:
    """Return a challenge and keep it for the answer."""
    challenge = generate_challenge()
    session[_KEPT] = {
        "for": purpose.value,
        "challenge": bytes_to_base64url(challenge),
        "at": clock.now().timestamp(),
    }
    return challenge


def take_challenge(purpose: Purpose) -> bytes:
    """Return the challenge that waits, and forget it. Raises PasskeyExpired."""
    kept = session.pop(_KEPT, None)
    if not isinstance(kept, dict) or kept["for"] != purpose:
        raise PasskeyExpired
    if not 0 <= clock.now().timestamp() - kept["at"] < CHALLENGE_SECONDS:
        raise PasskeyExpired
    return base64url_to_bytes(kept["challenge"])


def options_answer(options: str) -> Response:
    """Answer with what the browser is to be asked. Nobody keeps a copy."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return make_response(options, 200, headers)


def sent_json() -> dict[str, Any]:
    sent = request.get_json(silent=True)
    return sent if isinstance(sent, dict) else {}


def sent_target(sent: dict[str, Any]) -> str | None:
    """Return the page of this site where the script wants to go on."""
    target = sent.get("next")
    return same_site(target) if isinstance(target, str) else None
