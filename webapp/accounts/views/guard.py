"""Who is there, and whether they may: asked before every request, by what its route declares."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import cache, wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Flask, abort, g, redirect, request, session, url_for
from flask_login import LoginManager, UserMixin, current_user, login_user
from jinja2 import pass_context
from jinja2.runtime import Context
from werkzeug import Response

from webapp.accounts.device import describe
from webapp.accounts.models import LoginMethod, LoginSession, Role, SessionEnd, User
from webapp.accounts.permissions import Permission, allows
from webapp.accounts.services import sessions
from webapp.core.access import EVERYONE, MEMBERS, NOBODY, audience_of
from webapp.core.audit import Actor, network_of
from webapp.core.db import db
from webapp.core.models import ActorKind

logger = logging.getLogger(__name__)
View = TypeVar("View", bound=Callable[..., Any])


class SignedIn(UserMixin):
    """``current_user``: a user and the session they came with."""

    def __init__(self, login: LoginSession, token: str) -> None:
        self.login = login
        self.user = login.user
        self.token = token

    @property
    def id(self) -> uuid.UUID:
        return self.user.id

    @property
    def email(self) -> str:
        return self.user.email

    @property
    def role(self) -> Role | None:
        return self.user.role

    @property
    def is_active(self) -> bool:
        return self.user.active

    def get_id(self) -> str:
        return self.token


def init_guard(app: Flask, manager: LoginManager) -> None:
    """Find the person behind each session, and close every route to those it isn't for."""
    manager.session_protection = None  # sessions are ours to judge
    manager.user_loader(_load)
    app.jinja_env.tests["permitted"] = permitted

    @cache
    def audience(endpoint: str) -> str | None:
        return audience_of(app, endpoint)

    @app.before_request
    def ask_at_the_door() -> Response | None:
        if request.endpoint is None:
            return None
        declared = audience(request.endpoint)
        return None if declared == EVERYONE else _admit(declared)

    @app.after_request
    def keep_private(response: Response) -> Response:
        """What isn't for everyone stays out of every cache, unless the view was stricter."""
        if request.endpoint is not None and audience(request.endpoint) != EVERYONE:
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response


@pass_context
def permitted(_context: Context, permission: str) -> bool:
    """The template test: ``{% if 'orders.refund' is permitted %}``.

    It takes the context so that Jinja asks each time: the test of a constant would be worked out
    once, when the template is compiled, and hold for everybody after.
    """
    return current_user.is_authenticated and allows(current_user.role, Permission(permission))


def _admit(audience: str | None) -> Response | None:
    if audience is None:
        logger.error("route without a declaration", extra={"endpoint": request.endpoint})
        abort(403)
    if audience == NOBODY:
        abort(404)
    if not current_user.is_authenticated:
        return _to_login()
    # What must come first (a second factor, new terms) is in ``duties``, in that order.
    for duty in _DUTIES:
        where = duty(current_user)
        if where is not None and request.endpoint not in _FREE:
            return redirect(where, 303)
    if audience != MEMBERS and not allows(current_user.role, Permission(audience)):
        abort(403)
    return None


Duty = Callable[[SignedIn], str | None]
_DUTIES: list[Duty] = []
# What somebody with an open duty may call all the same, to do it or to leave.
_FREE: set[str] = {"accounts.logout"}


def add_duty(duty: Duty, *free: str) -> None:
    """Let ``duty(person) -> path or None`` send people elsewhere before they go on.

    ``free`` are the endpoints they need for it.
    """
    _DUTIES.append(duty)
    _FREE.update(free)


def needs_proof(view: View) -> View:
    """Ask for a credential again before a grave step, unless one was shown just now."""

    @wraps(view)
    def asked(*args: Any, **kwargs: Any) -> Any:
        if sessions.is_proven(current_user.login):
            return view(*args, **kwargs)
        here = request.full_path.rstrip("?") if request.method == "GET" else _came_from()
        return redirect(url_for("accounts.prove", next=here), 303)

    return cast(View, asked)


def _came_from() -> str:
    try:
        path = urlsplit(request.referrer or "").path
    except ValueError:
        path = ""
    return same_site(path) or "/account/security"


def _to_login() -> Response:
    seen = request.full_path.rstrip("?") if request.method == "GET" else _came_from()
    return redirect(url_for("accounts.login", next=seen), 303)


def _load(token: str) -> SignedIn | None:
    login = sessions.resume(token)
    db.session.commit()
    return SignedIn(login, token) if login is not None else None


def is_me(user_id: uuid.UUID) -> bool:
    """Say whether this browser is logged in as that user."""
    return bool(current_user.is_authenticated and current_user.id == user_id)


def actor() -> Actor:
    """Return whoever makes this request, for services and the audit."""
    kind, user_id = ActorKind.VISITOR, None
    if current_user.is_authenticated:
        user_id = current_user.id
        kind = ActorKind.STAFF if current_user.role is not None else ActorKind.MEMBER
    network = network_of(request.remote_addr)
    return Actor(kind, user_id, network, describe(request.headers.get("User-Agent", "")))


def let_in(
    user: User, method: LoginMethod, *, remember: bool = False, second_factor: bool = False
) -> None:
    """Open a session for ``user`` in this browser; the caller commits.

    Whatever the browser's session held before is forgotten: a planted one must not become a
    logged-in one, and one that was logged in ends.
    """
    kind = ActorKind.STAFF if user.role is not None else ActorKind.MEMBER
    by = replace(actor(), kind=kind, id=user.id)
    if current_user.is_authenticated:
        sessions.end(current_user.login, SessionEnd.LOGOUT)
    token = sessions.open_session(user, method, by, remember=remember, second_factor=second_factor)
    _carry(token)
    session.permanent = remember and user.role is None


def renew(token: str) -> None:
    """Put a rotated session's new token into the cookie."""
    session["_user_id"] = token
    current_user.token = token


def _carry(token: str) -> None:
    session.clear()
    g.pop("csrf_token", None)
    login = db.session.get_one(LoginSession, uuid.UUID(token.partition(".")[0]))
    login_user(SignedIn(login, token), force=True)


def same_site(target: str | None) -> str | None:
    """Return ``target`` if it is a path of this site, else None: never a way to another host.

    Browsers read a backslash as a slash and skip control characters, so both are refused.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or any(ord(character) < 33 for character in target):
        return None
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    return None if parts.scheme or parts.netloc else target
