"""Writing to the shop."""

from flask import make_response, redirect, render_template, request, url_for
from flask_limiter import RateLimitExceeded
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.forms.contact import ContactForm
from webapp.accounts.queries import find_member
from webapp.accounts.services.contact import receive
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.limits import retry_after
from webapp.core.security import limiter
from webapp.storefront.views.blueprint import blueprint

MESSAGES = "5 per hour"


@blueprint.route("/contact", methods=["GET", "POST"])
@open_to(EVERYONE)
def contact() -> Response:
    form = ContactForm()
    if request.method != "POST":
        form.begin()
        _fill_in(form)
        return _page(form, 200)
    if not form.validate():
        return _page(form, 422)
    try:
        _count_message()
    except RateLimitExceeded:
        return _too_many(form)
    receive(form.inquiry(), form.suspicion())
    db.session.commit()
    # Held or not, the answer is the same: a machine must not learn what gave it away.
    return redirect(url_for("storefront.contact_sent"), 303)


@blueprint.get("/contact/sent")
@open_to(EVERYONE)
def contact_sent() -> str:
    return render_template("storefront/contact_sent.html")


@limiter.limit(MESSAGES, override_defaults=False)
def _count_message() -> None:
    """Count a message that is complete; mistakes in the form cost nothing."""


def _too_many(form: ContactForm) -> Response:
    seconds = retry_after()
    minutes = -(-seconds // 60)
    form.form_errors.append(
        "That was a lot of messages in one hour. Wait "
        + ("a minute" if minutes == 1 else f"{minutes} minutes")
        + ", then send this one again, or write to us by email."
    )
    page = _page(form, 429)
    page.headers["Retry-After"] = str(seconds)
    return page


def _fill_in(form: ContactForm) -> None:
    """Spare members to type what we know. Whoever isn't logged in costs no question."""
    if current_user.is_authenticated:
        member = find_member(current_user.id)
        form.name.data = member.name if member is not None else ""
        form.email.data = current_user.email


def _page(form: ContactForm, status: int) -> Response:
    page = make_response(render_template("storefront/contact.html", form=form), status)
    page.headers["Cache-Control"] = "private, no-store"
    return page
