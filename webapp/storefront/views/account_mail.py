"""Which mails a member gets: the ones to choose, and the ones that belong to buying here."""

from flask import flash, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.errors import AddressNotVerified
from webapp.accounts.services.mail_choices import choose_mails
from webapp.accounts.views.guard import actor
from webapp.campaigns.services.unsubscribing import choose_tracking, is_tracked, withdraw
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import TOPICS, consents_of
from webapp.storefront.private import show_privately
from webapp.storefront.views.blueprint import blueprint


@blueprint.route("/account/mail", methods=["GET", "POST"])
@open_to(MEMBERS)
def account_mail() -> Response:
    if request.method == "POST":
        return _choose()
    user = current_user.user
    # What an address has chosen is told to its owner alone.
    standing = consents_of(user.email) if user.email_verified_at is not None else {}
    return show_privately(
        "accounts/mail.html",
        user=user,
        topics=[(each, standing.get(each.topic)) for each in TOPICS],
        is_tracked=is_tracked(user.email),
    )


@blueprint.post("/account/mail/tracking")
@open_to(MEMBERS)
def account_mail_tracking() -> Response:
    """Have the member's opens and clicks recorded, or not."""
    user = current_user.user
    if user.email_verified_at is None:
        flash(AddressNotVerified().sentence, "error")
    else:
        choose_tracking(user.email, record="record" in request.form)
        db.session.commit()
        flash("Saved.", "success")
    return redirect(url_for("storefront.account_mail"), 303)


def _choose() -> Response:
    named = set(request.form.getlist("topics"))
    try:
        changed = choose_mails(
            current_user.user, [topic for topic in MailTopic if topic.value in named], actor()
        )
    except AddressNotVerified as error:
        db.session.rollback()
        flash(error.sentence, "error")
    else:
        withdraw(current_user.email, [each for each in MailTopic if each.value not in named])
        db.session.commit()
        flash("Saved." if changed else "Nothing changed.", "success" if changed else "info")
    return redirect(url_for("storefront.account_mail"), 303)
