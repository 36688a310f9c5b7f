"""Moving an account to another address."""

from flask import flash, redirect, render_template, request
from flask_login import current_user
from werkzeug import Response

from webapp.accounts.errors import InvalidEmail, SameEmail
from webapp.accounts.forms.emails import ChangeEmailForm
from webapp.accounts.queries.claims import find_open_change
from webapp.accounts.services import emails, sessions
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.guard import actor, is_me, needs_proof, renew
from webapp.accounts.views.keys import refused, unshared
from webapp.core import clock
from webapp.core.access import EVERYONE, MEMBERS, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.limits import limiter

ASKED = "Now look into your mail: the address changes when the links there have been confirmed."
NOTHING_OPEN = "There was no change to call off any more: this is your address now."
CALLED_OFF = "The change was called off. Your address stays as it is."


def _member_key() -> str:
    return f"email:{current_user.id}"


@blueprint.route("/account/email", methods=["GET", "POST"])
@open_to(MEMBERS)
@limiter.limit("5 per hour", key_func=_member_key, methods=["POST"], override_defaults=False)
@needs_proof
def email() -> Response | tuple[str, int]:
    """Ask for another address; both mailboxes are asked to confirm."""
    form = ChangeEmailForm()
    if form.validate_on_submit():
        try:
            emails.ask_for_change(current_user.user, form.email.data, actor())
            db.session.commit()
            flash(ASKED, "success")
            return redirect("/account/email", 303)
        except (InvalidEmail, SameEmail) as error:
            form.email.errors = [error.sentence]
    change = find_open_change(current_user.id)
    if change is not None and clock.now() >= change.expires_at:
        change = None
    page = render_template("accounts/email.html", form=form, user=current_user.user, change=change)
    return page, 422 if form.errors else 200


@blueprint.post("/account/email/cancel")
@open_to(MEMBERS)
def cancel_email_change() -> Response:
    """Call one's own wish off."""
    change = find_open_change(current_user.id)
    called_off = change is not None and emails.call_off(change, actor())
    db.session.commit()
    flash(*((CALLED_OFF, "success") if called_off else (NOTHING_OPEN, "warning")))
    return redirect("/account/email", 303)


@blueprint.route("/email-change/<token>", methods=["GET", "POST"])
@open_to(EVERYONE)
def email_change(token: str) -> Response:
    """Ask the owner of a mailbox, and take the answer. Opening the link changes nothing."""
    try:
        question = emails.read_question(token)
        cancelled = "cancel" in request.form
        if request.method == "GET" or not (cancelled or _may_answer(question)):
            return _ask(question)
        if cancelled:
            emails.call_off(question.change, actor())
            outcome = "cancelled"
        else:
            outcome = _confirm(question).value
    except DomainError as error:
        return refused("accounts/email_refused.html", error)
    db.session.commit()
    page = render_template("accounts/email_answered.html", question=question, outcome=outcome)
    return unshared(page)


def _may_answer(question: emails.Question) -> bool:
    """Say whether a yes counts. Who has the new mailbox shows that the account is theirs as well:
    a stranger's account must not get their address by one press on a mail they didn't ask for.
    """
    return question.side is emails.Side.OLD or is_me(question.change.user_id)


def _ask(question: emails.Question) -> Response:
    return unshared(
        render_template(
            "accounts/email_question.html",
            question=question,
            may_answer=_may_answer(question),
            here=request.path,
        )
    )


def _confirm(question: emails.Question) -> emails.Outcome:
    is_here = is_me(question.change.user_id)
    keep = current_user.login.id if is_here else None
    outcome = emails.confirm(question, actor(), keep)
    if is_here and outcome is emails.Outcome.DONE:
        renew(sessions.rotate(current_user.login))
    return outcome
