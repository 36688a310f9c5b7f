"""What a browser takes along to Google or Apple, without which nothing it brings back is believed.

All of it lies in cookies of ours that are signed, count for ten minutes and for one return.
"""

import hmac
import json
from dataclasses import asdict, dataclass
from typing import Self

from flask import request, session
from werkzeug import Response

from webapp.accounts.gateway import Attempt
from webapp.core import clock
from webapp.core.errors import DomainError
from webapp.core.signing import sign, unsign
from webapp.core.state import current_config, current_fork

SECONDS = 600
LONGEST_PARAMETER = 2000
_KEPT = "identity_journey"
_PURPOSE = "apple-name"


@dataclass(frozen=True, slots=True)
class Journey:
    """A way to a provider and back. ``user`` is who links an identity; None wants to be let in."""

    provider: str
    state: str
    nonce: str
    verifier: str
    at: int
    target: str | None = None
    user: str | None = None

    @classmethod
    def begin(cls, provider: str, attempt: Attempt, target: str | None, user: str | None) -> None:
        """Remember it in the session, in place of any earlier one."""
        now = int(clock.now().timestamp())
        begun = cls(provider, attempt.state, attempt.nonce, attempt.verifier, now, target, user)
        session[_KEPT] = asdict(begun)

    @classmethod
    def end(cls) -> Self | None:
        """Return it and forget it: nothing is ever compared with it twice."""
        kept = session.pop(_KEPT, None)
        try:
            return cls(**kept) if isinstance(kept, dict) else None
        except TypeError:
            return None

    @property
    def attempt(self) -> Attempt:
        return Attempt(self.state, self.nonce, self.verifier)

    def leads_back(self, provider: str, state: str) -> bool:
        """Say whether this is where it led to, in time, and by this state."""
        in_time = 0 <= clock.now().timestamp() - self.at < SECONDS
        same = hmac.compare_digest(self.state.encode(), state.encode())
        return same and in_time and self.provider == provider


def keep_name(answer: Response, state: str, told: str) -> None:
    """Let the browser carry the name that Apple tells once in a lifetime, beside the token.

    It is no business of an address that ends up in logs. Nobody signed it, so it is a greeting
    and no more; ``state`` ties it to this journey.
    """
    name = _read_name(told)
    if name and state:
        answer.set_cookie(
            _cookie(),
            sign(_PURPOSE, [state, name]),
            max_age=SECONDS,
            secure=current_config().secure,
            httponly=True,
            samesite="Lax",
        )


def kept_name(journey: Journey) -> str:
    try:
        state, name = unsign(_PURPOSE, request.cookies.get(_cookie(), ""), SECONDS)
    except DomainError:
        return ""
    return str(name) if state == journey.state else ""


def forget_name(answer: Response) -> None:
    if _cookie() in request.cookies:
        secure = current_config().secure
        answer.delete_cookie(_cookie(), secure=secure, httponly=True, samesite="Lax")


def _read_name(told: str) -> str:
    try:
        name = json.loads(told[:LONGEST_PARAMETER])["name"]
        parts = (name.get("firstName"), name.get("lastName"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""
    return " ".join(part.strip() for part in parts if isinstance(part, str)).strip()[:200]


def _cookie() -> str:
    return current_fork().cookie_name("apple_name", secure=current_config().secure)
