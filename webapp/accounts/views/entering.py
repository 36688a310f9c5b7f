"""Logging in and out, and how the rest of the app knows who is there."""

import hashlib
import time
import uuid
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request, session
from flask_limiter import RateLimitExceeded
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from redis import RedisError
from werkzeug import Response as BaseResponse

from webapp.accounts.forms import LoginForm
from webapp.accounts.models import Role, User
from webapp.accounts.queries import find_user
from webapp.accounts.services import authenticate, fingerprint
from webapp.core.db import db
from webapp.core.security import limiter

blueprint = Blueprint("accounts", __name__)

REFUSED = "That address and password don't belong together. Check both and try again."


class SignedIn(UserMixin):
    """``current_user``: a user together with the password the session was opened with."""

    def __init__(self, user: User) -> None:
        self.user = user

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
        return f"{self.user.id}.{fingerprint(self.user)}"


def init_login(manager: LoginManager) -> None:
    """Teach ``manager`` to find the person behind a session."""
    manager.login_view = "accounts.login"
    manager.user_loader(load_signed_in)


def load_signed_in(session_id: str) -> SignedIn | None:
    """Return who the session belongs to, unless they were shut out or changed their password."""
    user_id, _, seen = session_id.partition(".")
    try:
        user = find_user(uuid.UUID(user_id))
    except ValueError:
        return None
    if user is None or not user.active or seen != fingerprint(user):
        return None
    return SignedIn(user)


def _address_tried() -> str:
    """The limit's key: the address typed, as a hash, so that Redis holds no personal data."""
    address = request.form.get("email", "").strip().lower()
    return "login:" + hashlib.sha256(address.encode()).hexdigest()[:32]


@blueprint.route("/login", methods=["GET", "POST"])
@limiter.limit("10 per hour", methods=["POST"], override_defaults=False)
@limiter.limit(
    "5 per 15 minutes", key_func=_address_tried, methods=["POST"], override_defaults=False
)
def login() -> BaseResponse | str | tuple[str, int]:
    """Let somebody in and send them where they were going."""
    form = LoginForm()
    if request.method == "GET":
        form.next.data = same_site(request.args.get("next"))
    target = same_site(form.next.data) or same_site(request.args.get("next")) or "/"
    if current_user.is_authenticated and request.method == "GET":
        return redirect(target)
    if not form.validate_on_submit():
        return render_template("accounts/login.html", form=form)
    user = authenticate(form.email.data, form.password.data)
    if user is None:
        form.form_errors = [REFUSED]
        return render_template("accounts/login.html", form=form), 401
    db.session.commit()
    _open_session(user)
    _give_tries_back()
    return redirect(target if target != "/" or user.role is None else "/admin/", 303)


@blueprint.post("/logout")
def logout() -> BaseResponse:
    """End the session of this browser."""
    logout_user()
    session.clear()
    return redirect("/login", 303)


@blueprint.errorhandler(RateLimitExceeded)
def too_many_tries(_error: RateLimitExceeded) -> Response:
    """Say how long to wait, on the page and in Retry-After (RFC 9110, section 10.2.3)."""
    breached = limiter.current_limit
    longest = breached.limit.get_expiry() if breached else 60
    left = round(breached.reset_at - time.time()) if breached else longest
    seconds = min(max(1, left), longest)
    minutes = -(-seconds // 60)
    form = LoginForm()
    form.form_errors = [
        "Too many tries to log in. Wait "
        + ("a minute" if minutes == 1 else f"{minutes} minutes")
        + ", then try again."
    ]
    page = render_template("accounts/login.html", form=form)
    return make_response(page, 429, {"Retry-After": str(seconds)})


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


def _open_session(user: User) -> None:
    # A session planted before the login must not become a logged-in one: begin a new one.
    session.clear()
    login_user(SignedIn(user))


def _give_tries_back() -> None:
    """A good login is no guess: undo its count, so that a busy office isn't shut out.

    The count went up before the password was looked at, so parallel guesses still all count.
    """
    for tried in limiter.current_limits:
        try:
            limiter.limiter.storage.incr(tried.key, tried.limit.get_expiry(), -1)
        except RedisError:
            return
