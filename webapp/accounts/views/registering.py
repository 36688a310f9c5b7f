"""Opening an account, and showing that its address is one's own."""

import secrets

from flask import flash, redirect, render_template, request
from flask_login import current_user
from werkzeug import Response

from webapp.accounts.errors import InvalidEmail, WeakPassword
from webapp.accounts.forms.registering import RegisterForm
from webapp.accounts.models import LoginMethod, TermsOfUse, User
from webapp.accounts.services import sessions, verifying
from webapp.accounts.services.registering import Registration, register
from webapp.accounts.services.terms import current_terms
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.door import enter
from webapp.accounts.views.guard import actor, is_me, renew, same_site
from webapp.accounts.views.keys import refused, unshared
from webapp.core.access import EVERYONE, MEMBERS, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.limits import give_back, limiter
from webapp.core.queue import Queue, enqueue

SENT = "If the address can be confirmed, a mail with a new link is on its way to it."


@blueprint.route("/register", methods=["GET", "POST"])
@open_to(EVERYONE)
@limiter.limit("5 per hour", methods=["POST"], override_defaults=False)
def registration() -> Response | str | tuple[str, int]:
    """Open an account and let its owner in at once."""
    form, terms = RegisterForm(), current_terms()
    if request.method == "GET":
        form.next.data = same_site(request.args.get("next"))
    target = same_site(form.next.data) or same_site(request.args.get("next"))
    if current_user.is_authenticated:
        return redirect(target or "/account", 303)
    if terms is None:
        del form.agree
    user = _register(form, terms) if request.method == "POST" else None
    if user is None:
        status = 422 if request.method == "POST" else 200
        return render_template("accounts/register.html", form=form, terms=terms), status
    return enter(user, LoginMethod.REGISTERED, target=target)


def _register(form: RegisterForm, terms: TermsOfUse | None) -> User | None:
    """Return the new user, or None with what is to be mended written to the form."""
    if not form.validate() or _is_outdated(form, terms):
        give_back()
        return None
    wish = Registration(
        form.email.data,
        form.password.data,
        name=form.name.data or "",
        newsletter=form.newsletter.data,
        terms=terms,
    )
    try:
        return register(wish, actor())
    except InvalidEmail as error:
        form.email.errors = [error.sentence]
    except WeakPassword as error:
        form.password.errors = [error.sentence]
    give_back()
    return None


def _is_outdated(form: RegisterForm, terms: TermsOfUse | None) -> bool:
    """Say whether the person read other terms than those now in force."""
    if terms is None or form.terms.data in (None, "", str(terms.id)):
        return False
    form.agree.errors = ["The terms of use have changed meanwhile. Read them and agree again."]
    form.agree.data = False
    form.terms.data = str(terms.id)
    return True


@blueprint.get("/verify/<token>")
@open_to(EVERYONE)
def verification(token: str) -> Response:
    """Show a button: mail scanners open links, so opening one must change nothing."""
    try:
        user = verifying.read_verification(token)
    except DomainError as error:
        return refused("accounts/verify_refused.html", error)
    return _ask(user)


def _ask(user: User) -> Response:
    here = request.path
    return unshared(
        render_template("accounts/verify.html", email=user.email, is_here=is_me(user.id), here=here)
    )


@blueprint.post("/verify/<token>")
@open_to(EVERYONE)
def verify(token: str) -> Response:
    """Note that the address belongs to whoever opened the link and is logged in.

    The mailbox alone is not enough: its owner would hand it, and what was bought with it, to a
    stranger who registered it, by pressing the button of a mail they didn't ask for.
    """
    try:
        user = verifying.read_verification(token)
        if not is_me(user.id):
            return _ask(user)
        verifying.confirm_address(user, actor())
    except DomainError as error:
        return refused("accounts/verify_refused.html", error)
    # The account may now see what was bought with this address.
    renew(sessions.rotate(current_user.login))
    db.session.commit()
    return unshared(render_template("accounts/verify_done.html", email=user.email))


def _member_key() -> str:
    return f"verify:{current_user.id}"


@blueprint.route("/verify/resend", methods=["GET", "POST"])
@open_to(MEMBERS)
@limiter.limit("5 per hour", key_func=_member_key, methods=["POST"], override_defaults=False)
def resend_verification() -> Response | str:
    """Send the link again to the address of whoever is logged in."""
    user = current_user.user
    if request.method == "GET":
        return render_template("accounts/verify_resend.html", user=user)
    enqueue(
        verifying.SEND,
        str(user.id),
        secrets.token_hex(8),
        queue=Queue.MAIL,
        subject=f"user:{user.id}",
    )
    db.session.commit()
    flash(SENT, "success")
    return redirect("/account", 303)
