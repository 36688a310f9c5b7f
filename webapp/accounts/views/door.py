"""The one door: however somebody proved who they are, here they are let in."""

import uuid
from dataclasses import dataclass

from flask import g, redirect, session, url_for
from werkzeug import Response

from webapp.accounts.models import LoginMethod, User
from webapp.accounts.queries import find_user
from webapp.accounts.services import second_step
from webapp.accounts.services.passwords import fingerprint
from webapp.accounts.signals import logged_in
from webapp.accounts.views.guard import let_in
from webapp.core import clock
from webapp.core.db import db

# How long the first step waits for the second.
HALF_SECONDS = 600
_HALF = "half_login"


@dataclass(frozen=True, slots=True)
class HalfLogin:
    """Somebody who took the first step; nothing is open to them yet."""

    user: User
    method: LoginMethod
    remember: bool
    target: str | None


def enter(
    user: User,
    method: LoginMethod,
    *,
    remember: bool = False,
    target: str | None = None,
    second_factor: bool = False,
) -> Response:
    """Open a session in this browser, commit, and lead on to ``target`` (a path of this site).

    ``second_factor`` says that what was shown counts as two (a passkey with user verification).
    Whoever needs a second step is sent to it instead, with nothing open yet.
    """
    if not second_factor and second_step.needed(user):
        _remember_half(HalfLogin(user, method, remember, target))
        db.session.commit()
        return redirect(url_for("accounts.second_step"), 303)
    let_in(user, method, remember=remember, second_factor=second_factor)
    logged_in.send(user=user)
    db.session.commit()
    home = "/account" if user.role is None else "/admin/"
    return redirect(target if target not in (None, "/") else home, 303)


def half_login() -> HalfLogin | None:
    """Return who took the first step in this browser, while that still counts.

    A new password, a new address or being shut out voids it, as ten minutes do.
    """
    kept = session.get(_HALF)
    if not isinstance(kept, dict):
        return None
    user = find_user(uuid.UUID(kept["user"]))
    lapsed = not 0 <= clock.now().timestamp() - kept["at"] < HALF_SECONDS
    if lapsed or user is None or not user.active or fingerprint(user) != kept["bound_to"]:
        session.pop(_HALF, None)
        return None
    return HalfLogin(user, LoginMethod(kept["method"]), kept["remember"], kept["target"])


def _remember_half(half: HalfLogin) -> None:
    """Keep the first step in the signed cookie; what the browser held before is forgotten."""
    session.clear()
    g.pop("csrf_token", None)
    session[_HALF] = {
        "user": str(half.user.id),
        "method": half.method.value,
        "remember": half.remember,
        "target": half.target,
        "bound_to": fingerprint(half.user),
        "at": int(clock.now().timestamp()),
    }
