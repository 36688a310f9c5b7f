"""The second step of a login: a code, a passkey or a recovery code, after the first was right."""

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug import Response

from webapp.accounts.errors import WrongCode
from webapp.accounts.forms.security import CodeForm
from webapp.accounts.models import User
from webapp.accounts.services import recovery, second_step, sessions, totp
from webapp.accounts.services.second_step import Factor
from webapp.accounts.services.ways_in import count_passkeys, is_required
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.door import enter, half_login
from webapp.accounts.views.guard import SignedIn, actor, add_duty, renew, same_site
from webapp.core.access import EVERYONE, open_to
from webapp.core.audit import record
from webapp.core.db import db
from webapp.core.limits import give_back
from webapp.core.security import limiter


def _who() -> User | None:
    """Return who is at the second step: after a first one, or logged in without a second."""
    half = half_login()
    if half is not None:
        return half.user
    return current_user.user if current_user.is_authenticated else None


def _tried() -> str:
    user = _who()
    return f"second-step:{user.id if user else 'nobody'}"


def _done_already() -> bool:
    if half_login() is not None or not current_user.is_authenticated:
        return False
    return current_user.login.second_factor_at is not None


@blueprint.route("/login/second-step", methods=["GET", "POST"], endpoint="second_step")
@open_to(EVERYONE)
@limiter.limit("10 per hour", methods=["POST"], override_defaults=False)
@limiter.limit("5 per 15 minutes", key_func=_tried, methods=["POST"], override_defaults=False)
def take_second_step() -> Response | str | tuple[str, int]:
    """Let somebody in who can show a second thing."""
    user = _who()
    if user is None:
        flash("That took too long. Please sign in again.", "warning")
        return redirect(url_for("accounts.login"), 303)
    if _done_already() or not second_step.has_factor(user):
        return redirect(_target() or "/account/security", 303)
    form = CodeForm()
    if not form.validate_on_submit():
        form.next.data = _target()
        return _page(form, user), 422 if form.errors else 200
    try:
        shown = second_step.accept_code(user, form.code.data, actor())
    except WrongCode as error:
        db.session.rollback()
        record(actor(), "second_step.refused", f"user:{user.id}", user_id=user.id)
        db.session.commit()
        form.code.errors = [error.sentence]
        return _page(form, user), error.status
    give_back()
    return _let_on(user, shown)


def _let_on(user: User, shown: Factor) -> Response:
    half = half_login()
    left = recovery.count_left(user.id)
    if half is None:
        renew(sessions.prove(current_user.login, second_factor=True))
        db.session.commit()
        answer = redirect(_target() or "/account/security", 303)
    else:
        answer = enter(
            half.user,
            half.method,
            remember=half.remember,
            target=half.target,
            second_factor=True,
        )
    if shown is Factor.RECOVERY:
        flash(
            f"You used a recovery code; it opens nothing any more. {left} left. If your phone is "
            "lost, set up another under Security.",
            "warning",
        )
    return answer


def _target() -> str | None:
    return same_site(request.form.get("next")) or same_site(request.args.get("next"))


def _page(form: CodeForm, user: User) -> str:
    return render_template(
        "accounts/second_step.html",
        form=form,
        has_app=totp.is_on(user.id),
        has_passkey=count_passkeys(user.id) > 0,
        codes_left=recovery.count_left(user.id),
        is_half=half_login() is not None,
        target=_target() or "",
    )


def _staff_duty(person: SignedIn) -> str | None:
    """Send staff of a careful shop to what they still owe it."""
    if person.login.second_factor_at is not None or not is_required(person.user):
        return None
    if not second_step.has_factor(person.user):
        return "/account/security"
    here = request.full_path.rstrip("?") if request.method == "GET" else "/admin/"
    return url_for("accounts.second_step", next=here)


add_duty(
    _staff_duty,
    "accounts.security",
    "accounts.second_step",
    "accounts.prove",
    "accounts.prove_yourself",
    "accounts.prove_by_passkey_options",
    "accounts.prove_by_passkey",
    "accounts.new_passkey",
    "accounts.new_passkey_options",
    "accounts.add_passkey",
    "accounts.begin_totp",
    "accounts.totp",
    "accounts.confirm_totp",
    "accounts.cancel_totp",
    "accounts.recovery_codes",
    "accounts.make_recovery_codes",
)
