"""Passwords: forgotten, set anew, changed, and checked while they are typed."""

from flask import flash, jsonify, redirect, render_template, request
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug import Response

from webapp.accounts.errors import InvalidEmail, WeakPassword, WrongPassword
from webapp.accounts.forms.recovering import ChangePasswordForm, ForgotForm, NewPasswordForm
from webapp.accounts.models import LoginMethod
from webapp.accounts.services import resetting, sessions
from webapp.accounts.services.passwords import MAX_LENGTH, find_missing
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.door import enter
from webapp.accounts.views.guard import actor, needs_proof, renew
from webapp.accounts.views.keys import refused, unshared
from webapp.core.access import EVERYONE, MEMBERS, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.limits import limiter

CHANGED = "Your password is changed. Every other device is logged out."


@blueprint.route("/password/forgot", methods=["GET", "POST"])
@open_to(EVERYONE)
@limiter.limit("5 per hour", methods=["POST"], override_defaults=False)
def forgot_password() -> Response | str | tuple[str, int]:
    """Promise a link by mail; the answer is the same for every address."""
    form = ForgotForm()
    if request.method == "GET":
        form.email.data = current_user.email if current_user.is_authenticated else None
        return render_template("accounts/forgot.html", form=form, sent=False)
    if form.validate():
        try:
            resetting.ask_for_reset(form.email.data)
            db.session.commit()
            return render_template("accounts/forgot.html", form=form, sent=True)
        except InvalidEmail as error:
            form.email.errors = [error.sentence]
    return render_template("accounts/forgot.html", form=form, sent=False), 422


@blueprint.route("/password/reset/<token>", methods=["GET", "POST"])
@open_to(EVERYONE)
@limiter.limit("30 per hour", methods=["POST"], override_defaults=False)
def reset_password(token: str) -> Response:
    """Set a new password by the link that was mailed, and let its owner in."""
    form = NewPasswordForm()
    try:
        user = resetting.read_reset(token)
        email = user.email
        if form.validate_on_submit():
            user = resetting.reset(token, form.password.data, actor())
            answer = enter(user, LoginMethod.RESET)
            # Afterwards: entering forgets whatever the browser's session held.
            flash(CHANGED, "success")
            return answer
    except WeakPassword as error:
        db.session.rollback()
        form.password.errors = [error.sentence]
    except DomainError as error:
        return refused("accounts/reset_refused.html", error)
    status = 422 if form.errors else 200
    return unshared(render_template("accounts/reset.html", form=form, email=email), status)


def _member_key() -> str:
    return f"password:{current_user.id}"


@blueprint.route("/account/password", methods=["GET", "POST"])
@open_to(MEMBERS)
@limiter.limit("10 per 15 minutes", key_func=_member_key, methods=["POST"], override_defaults=False)
def password() -> Response | str | tuple[str, int]:
    """Change the password; who has none yet proves otherwise who they are."""
    if current_user.user.password_hash is None:
        return needs_proof(_set_first)()
    form = ChangePasswordForm()
    if form.validate_on_submit():
        try:
            resetting.change_password(
                current_user.user,
                form.current.data,
                form.password.data,
                actor(),
                current_user.login.id,
            )
            return _done()
        except WrongPassword as error:
            form.current.errors = [error.sentence]
        except WeakPassword as error:
            form.password.errors = [error.sentence]
    return _password_page(form)


def _set_first() -> Response | tuple[str, int]:
    form = NewPasswordForm()
    if form.validate_on_submit():
        try:
            resetting.set_first_password(
                current_user.user, form.password.data, actor(), current_user.login.id
            )
            return _done()
        except WeakPassword as error:
            form.password.errors = [error.sentence]
    return _password_page(form)


def _password_page(form: FlaskForm) -> tuple[str, int]:
    page = render_template("accounts/password.html", form=form, current_email=current_user.email)
    return page, 422 if form.errors else 200


def _done() -> Response:
    renew(sessions.prove(current_user.login))
    db.session.commit()
    flash(CHANGED, "success")
    return redirect("/account/security", 303)


@blueprint.post("/password/check")
@open_to(EVERYONE)
@limiter.limit("120 per minute", override_defaults=False)
def check_password() -> Response:
    """Say which rules a password that is being typed doesn't meet yet. Nothing of it is kept."""
    typed = request.get_json(silent=True)
    typed = typed if isinstance(typed, dict) else {}
    word, email = (str(typed.get(name) or "") for name in ("password", "email"))
    missing = find_missing(word[: MAX_LENGTH + 1], email[:320])
    answer = jsonify(missing=[rule.value for rule in missing])
    answer.headers["Cache-Control"] = "no-store"
    return answer
