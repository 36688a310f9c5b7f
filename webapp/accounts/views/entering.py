"""Logging in and out."""

import hashlib

from flask import redirect, render_template, request, session
from flask_login import current_user, logout_user
from werkzeug import Response as BaseResponse

from webapp.accounts.errors import InvalidEmail
from webapp.accounts.forms.entering import LoginForm
from webapp.accounts.models import LoginMethod, SessionEnd
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.entering import authenticate
from webapp.accounts.services.sessions import end
from webapp.accounts.signals import logged_out
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.door import enter
from webapp.accounts.views.guard import same_site
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.limits import give_back, limiter

REFUSED = "That address and password don't belong together. Check both and try again."


def _address_tried() -> str:
    """The limit's key: the address as it is stored, or each spelling of it would count alone.

    It is hashed, so that Redis holds no personal data.
    """
    typed = request.form.get("email", "")
    try:
        address = read_email(typed)
    except InvalidEmail:
        address = typed.strip().lower()
    return "login:" + hashlib.sha256(address.encode()).hexdigest()[:32]


@blueprint.route("/login", methods=["GET", "POST"])
@open_to(EVERYONE)
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
    give_back()
    return enter(user, LoginMethod.PASSWORD, remember=form.remember.data, target=target)


@blueprint.post("/logout")
@open_to(EVERYONE)
def logout() -> BaseResponse:
    """End the session of this browser."""
    if current_user.is_authenticated:
        logged_out.send(user=current_user.user)
        end(current_user.login, SessionEnd.LOGOUT)
        db.session.commit()
    logout_user()
    session.clear()
    return redirect("/login", 303)
