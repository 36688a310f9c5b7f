"""A passkey's challenge waits in a signed cookie: for one purpose, one use and five minutes.

The cookie is its own. The login page asks for a challenge by itself, and an answer that brought the
whole session would take back what a faster click has put there meanwhile.
"""

from enum import StrEnum
from typing import Any

from flask import Response, after_this_request, make_response, request
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, generate_challenge

from webapp.accounts.errors import PasskeyExpired
from webapp.accounts.services.ceremonies import CHALLENGE_SECONDS
from webapp.accounts.views.guard import same_site
from webapp.core import clock
from webapp.core.errors import DomainError
from webapp.core.signing import sign, unsign
from webapp.core.state import current_config, current_fork

_PURPOSE = "passkey-challenge"


class Purpose(StrEnum):
    """What a passkey is shown or made for: an answer given for one is none for another."""

    LOGIN = "login"
    PROVE = "prove"
    ADD = "add"


def new_challenge(purpose: Purpose) -> bytes:
    """Return a challenge and keep it for the answer."""
    challenge = generate_challenge()
    kept = sign(_PURPOSE, [purpose.value, bytes_to_base64url(challenge), clock.now().timestamp()])

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(_cookie(), kept, max_age=CHALLENGE_SECONDS, **_guards())
        return response

    return challenge


def take_challenge(purpose: Purpose) -> bytes:
    """Return the challenge that waits, and forget it. Raises PasskeyExpired."""
    after_this_request(_forget)
    try:
        kept_for, challenge, at = unsign(_PURPOSE, request.cookies.get(_cookie(), ""))
    except DomainError:
        raise PasskeyExpired from None
    if kept_for != purpose or not 0 <= clock.now().timestamp() - at < CHALLENGE_SECONDS:
        raise PasskeyExpired
    return base64url_to_bytes(challenge)


def _forget(response: Response) -> Response:
    response.delete_cookie(_cookie(), **_guards())
    return response


def _cookie() -> str:
    return current_fork().cookie_name("passkey", secure=current_config().secure)


def _guards() -> Any:
    return {"secure": current_config().secure, "httponly": True, "samesite": "Lax"}


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
