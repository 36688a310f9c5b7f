"""The authenticator app and the recovery codes of whoever is logged in."""

import segno
from flask import Response as FlaskResponse
from flask import flash, redirect, render_template
from flask_login import current_user
from werkzeug import Response

from webapp.accounts.errors import SecondFactorThere
from webapp.accounts.forms.security import CodeForm
from webapp.accounts.services import alerts, recovery, second_step, sessions, totp
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.guard import actor, renew
from webapp.accounts.views.keys import unshared
from webapp.accounts.views.proving import grave
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.shop import get_shop

SECURITY = "/account/security"
ON = "Your authenticator app is on. Every other device is logged out."


@blueprint.post("/account/security/totp")
@open_to(MEMBERS)
@grave
def begin_totp() -> Response:
    """Make a key for an app; it counts once a code from it was typed."""
    try:
        totp.begin(current_user.user)
    except SecondFactorThere as error:
        db.session.rollback()
        flash(error.sentence, "error")
        return redirect(SECURITY, 303)
    db.session.commit()
    return redirect(f"{SECURITY}/totp", 303)


@blueprint.get("/account/security/totp", endpoint="totp")
@open_to(MEMBERS)
@grave
def show_totp() -> Response:
    """Show the key as a picture and in letters."""
    return _setup_page(CodeForm(formdata=None), 200)


@blueprint.post("/account/security/totp/confirm")
@open_to(MEMBERS)
@grave
def confirm_totp() -> Response:
    """Switch the app on by its first code; every session of before has to log in again."""
    form, user, by = CodeForm(), current_user.user, actor()
    if not form.validate():
        return _setup_page(form, 422)
    try:
        second_step.add_totp(user, form.code.data, by, keep=current_user.login.id)
    except DomainError as error:
        db.session.rollback()
        form.code.errors = [error.sentence]
        return _setup_page(form, error.status)
    renew(sessions.prove(current_user.login, second_factor=True))
    codes = recovery.make_codes(user, by) if second_step.wants_codes(user) else []
    db.session.commit()
    flash(ON, "success")
    if codes:
        return _codes_page(codes)
    return redirect(SECURITY, 303)


@blueprint.post("/account/security/totp/cancel")
@open_to(MEMBERS)
def cancel_totp() -> Response:
    """Forget a key that was not confirmed."""
    if not totp.is_on(current_user.id):
        totp.remove(current_user.user, actor())
        db.session.commit()
    return redirect(SECURITY, 303)


@blueprint.post("/account/security/totp/remove")
@open_to(MEMBERS)
@grave
def remove_totp() -> Response:
    try:
        removed = second_step.remove_totp(current_user.user, actor())
    except DomainError as error:
        db.session.rollback()
        flash(error.sentence, "error")
        return redirect(SECURITY, 303)
    renew(sessions.rotate(current_user.login))
    db.session.commit()
    if removed:
        flash("The authenticator app is removed. Delete its entry in the app too.", "success")
    return redirect(SECURITY, 303)


@blueprint.get("/account/security/recovery-codes")
@open_to(MEMBERS)
@grave
def recovery_codes() -> str:
    """Explain the codes and offer to make them; those made before are never shown again."""
    left = recovery.count_left(current_user.id)
    return render_template("accounts/recovery.html", left=left, codes=None)


@blueprint.post("/account/security/recovery-codes")
@open_to(MEMBERS)
@grave
def make_recovery_codes() -> Response:
    """Show new codes, this once; the old ones open nothing any more."""
    user, by = current_user.user, actor()
    if not second_step.has_factor(user):
        return redirect(SECURITY, 303)
    codes = recovery.make_codes(user, by)
    alerts.tell_change(user, alerts.Change.CODES_MADE, by)
    db.session.commit()
    return _codes_page(codes)


def _codes_page(codes: list[str]) -> FlaskResponse:
    page = render_template("accounts/recovery.html", codes=codes, left=len(codes))
    return unshared(page)


def _setup_page(form: CodeForm, status: int) -> Response:
    setup = totp.find_setup(current_user.user, get_shop().name)
    if setup is None:
        return redirect(SECURITY, 303)
    # White ground whatever the theme: cameras read dark on light.
    picture = segno.make(setup.uri, error="m").svg_data_uri(scale=4, border=4, light="#fff")
    page = render_template("accounts/totp.html", form=form, key=setup.key, picture=picture)
    return unshared(page, status)
