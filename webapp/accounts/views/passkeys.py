"""Passkeys: adding, naming and removing them, and logging in with one instead of a password."""

from typing import Any

from flask import Response as FlaskResponse
from flask import flash, make_response, redirect, render_template
from flask_login import current_user
from werkzeug import Response

from webapp.accounts.forms.security import NameForm, PasskeyForm
from webapp.accounts.models import LoginMethod
from webapp.accounts.services import alerts, passkeys, second_step, sessions
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.challenges import (
    Purpose,
    new_challenge,
    options_answer,
    sent_json,
    sent_target,
    take_challenge,
)
from webapp.accounts.views.door import HalfLogin, enter, half_login
from webapp.accounts.views.guard import actor, renew
from webapp.accounts.views.proving import grave
from webapp.core.access import EVERYONE, MEMBERS, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.limits import give_back
from webapp.core.security import limiter
from webapp.core.shop import get_shop

SECURITY = "/account/security"


@blueprint.get("/account/security/passkeys/new")
@open_to(MEMBERS)
@grave
def new_passkey() -> str:
    """Ask for a name and have the browser make a passkey."""
    return render_template("accounts/passkey_new.html", form=PasskeyForm(formdata=None))


@blueprint.post("/account/security/passkeys/options")
@open_to(MEMBERS)
@grave
def new_passkey_options() -> FlaskResponse:
    """Say what kind of passkey is wanted, and which are there already."""
    challenge = new_challenge(Purpose.ADD)
    return options_answer(passkeys.options_for_new(current_user.user, get_shop().name, challenge))


@blueprint.post("/account/security/passkeys")
@open_to(MEMBERS)
@grave
def add_passkey() -> Response | tuple[str, int]:
    """Keep the passkey that the browser made; staff without recovery codes get them next."""
    form, user, by = PasskeyForm(), current_user.user, actor()
    try:
        challenge = take_challenge(Purpose.ADD)
        if not form.validate():
            return render_template("accounts/passkey_new.html", form=form), 422
        passkey = passkeys.add(user, form.credential.data, challenge, form.name.data or "", by)
    except DomainError as error:
        db.session.rollback()
        form.credential.errors = [error.sentence]
        return render_template("accounts/passkey_new.html", form=form), error.status
    alerts.tell_passkey_added(user, passkey, by)
    renew(sessions.prove(current_user.login, second_factor=True))
    codes_due = second_step.wants_codes(user)
    db.session.commit()
    flash(f"Passkey “{passkey.name}” is added.", "success")
    return redirect(f"{SECURITY}/recovery-codes" if codes_due else SECURITY, 303)


@blueprint.post("/account/security/passkeys/<int:passkey_id>/rename")
@open_to(MEMBERS)
def rename_passkey(passkey_id: int) -> Response:
    form = NameForm()
    if not form.validate():
        flash(" ".join(form.name.errors), "error")
        return redirect(SECURITY, 303)
    passkey = passkeys.rename(current_user.user, passkey_id, form.name.data, actor())
    db.session.commit()
    flash(f"The passkey is called “{passkey.name}” now.", "success")
    return redirect(SECURITY, 303)


@blueprint.post("/account/security/passkeys/<int:passkey_id>/remove")
@open_to(MEMBERS)
@grave
def remove_passkey(passkey_id: int) -> Response:
    try:
        second_step.remove_passkey(current_user.user, passkey_id, actor())
    except DomainError as error:
        db.session.rollback()
        if error.status != 409:
            raise
        flash(error.sentence, "error")
        return redirect(SECURITY, 303)
    renew(sessions.rotate(current_user.login))
    db.session.commit()
    flash(
        "The passkey is removed. Delete it on its device too, so that it isn't offered any more.",
        "success",
    )
    return redirect(SECURITY, 303)


@blueprint.post("/login/passkey/options")
@open_to(EVERYONE)
def passkey_login_options() -> FlaskResponse:
    """Ask for any passkey of ours; at the second step for one of whoever took the first."""
    half = _first_step(sent_json())
    challenge = new_challenge(Purpose.LOGIN)
    return options_answer(passkeys.options_for_known(challenge, half.user if half else None))


@blueprint.post("/login/passkey/verify")
@open_to(EVERYONE)
@limiter.limit("10 per hour", override_defaults=False)
def passkey_login() -> FlaskResponse:
    """Let in whoever's passkey answered: they have it and unlocked it, which is two factors."""
    sent = sent_json()
    half, challenge = _first_step(sent), take_challenge(Purpose.LOGIN)
    user = passkeys.recognise(sent.get("credential"), challenge, half.user if half else None)
    give_back()
    if half is not None:
        remember, target, method = half.remember, half.target, half.method
    else:
        remember, target = sent.get("remember") is True, sent_target(sent)
        method = LoginMethod.PASSKEY
    entered = enter(user, method, remember=remember, target=target, second_factor=True)
    return make_response({"next": entered.location})


def _first_step(sent: dict[str, Any]) -> HalfLogin | None:
    """Return the first step taken; None for whoever came to log in anew from the login page."""
    return half_login() if sent.get("second_step") is True else None
