"""Before something grave, people show again who they are, by whatever they have."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug import Response

from webapp.accounts.errors import WrongPassword
from webapp.accounts.forms.security import CodeForm, ProveForm
from webapp.accounts.services import passkeys, second_step, sessions
from webapp.accounts.services.passwords import matches
from webapp.accounts.services.ways_in import ways_in
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.challenges import (
    Purpose,
    new_challenge,
    options_answer,
    sent_json,
    sent_target,
    take_challenge,
)
from webapp.accounts.views.guard import actor, needs_proof, renew, same_site
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.limits import give_back
from webapp.core.security import limiter

View = TypeVar("View", bound=Callable[..., Any])


def grave(view: View) -> View:
    """Ask for a proof, and before it for the second step where one is needed.

    Without that, half a login could give itself the other half by adding a factor of its own.
    """
    proven = needs_proof(view)

    @wraps(view)
    def asked(*args: Any, **kwargs: Any) -> Any:
        login = current_user.login
        if login.second_factor_at is None and second_step.needed(current_user.user):
            return redirect(url_for("accounts.second_step", next="/account/security"), 303)
        return proven(*args, **kwargs)

    return cast(View, asked)


def _member() -> str:
    return f"prove:{current_user.id}"


@blueprint.get("/account/prove")
@open_to(MEMBERS)
def prove() -> str:
    """Offer what this person has to show."""
    return _page(ProveForm(formdata=None), CodeForm(formdata=None))


@blueprint.post("/account/prove")
@open_to(MEMBERS)
@limiter.limit("10 per hour", override_defaults=False)
@limiter.limit("5 per 15 minutes", key_func=_member, override_defaults=False)
def prove_yourself() -> Response | tuple[str, int]:
    """Take a password or a code."""
    by_code = "code" in request.form
    password_form = ProveForm(formdata=None) if by_code else ProveForm()
    code_form = CodeForm() if by_code else CodeForm(formdata=None)
    form = code_form if by_code else password_form
    if not form.validate():
        give_back()
        return _page(password_form, code_form), 422
    try:
        if by_code:
            second_step.accept_code(current_user.user, code_form.code.data, actor())
        elif not matches(current_user.user.password_hash, password_form.password.data):
            raise WrongPassword
    except DomainError as error:
        db.session.rollback()
        field = code_form.code if by_code else password_form.password
        field.errors = [error.sentence]
        return _page(password_form, code_form), error.status
    give_back()
    return redirect(_proven(second_factor=by_code, target=_target()), 303)


@blueprint.post("/account/prove/passkey/options")
@open_to(MEMBERS)
def prove_by_passkey_options() -> Response:
    """Say which passkeys are this person's."""
    return options_answer(
        passkeys.options_for_known(new_challenge(Purpose.PROVE), current_user.user)
    )


@blueprint.post("/account/prove/passkey/verify")
@open_to(MEMBERS)
@limiter.limit("10 per hour", override_defaults=False)
def prove_by_passkey() -> dict[str, str]:
    """Take a passkey's answer."""
    sent = sent_json()
    challenge = take_challenge(Purpose.PROVE)
    passkeys.recognise(sent.get("credential"), challenge, current_user.user)
    give_back()
    return {"next": _proven(second_factor=True, target=sent_target(sent))}


def _proven(*, second_factor: bool, target: str | None) -> str:
    """Note the proof under a new token, commit, and return where to go on."""
    renew(sessions.prove(current_user.login, second_factor=second_factor))
    db.session.commit()
    return target or "/account/security"


def _target() -> str | None:
    return same_site(request.form.get("next")) or same_site(request.args.get("next"))


def _page(password_form: ProveForm, code_form: CodeForm) -> str:
    target = _target() or "/account/security"
    password_form.next.data = code_form.next.data = target
    return render_template(
        "accounts/prove.html",
        password_form=password_form,
        code_form=code_form,
        ways=ways_in(current_user.user),
        current_email=current_user.email,
        target=target,
    )
