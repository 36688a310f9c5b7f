"""Leaving: why, perhaps an offer to stay, and then the end, without a maze."""

from flask import flash, redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.views.guard import actor
from webapp.billing.errors import ChangeRefused, NotSubscribed, OfferChanged
from webapp.billing.forms import CancelForm
from webapp.billing.models import CancelOffer, CancelReason, OperationKind, Subscription
from webapp.billing.queries.home import Home, read_home
from webapp.billing.queries.settings import get_settings
from webapp.billing.queries.staying import Offer, offer_for
from webapp.billing.services import changing
from webapp.billing.services.leaving import Leaving
from webapp.billing.views.acting import carry_out_now
from webapp.billing.views.blueprint import blueprint
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.core.security import limiter

PRESSES = "20 per minute"
STAY, LEAVE = "stay", "leave"
STAYED = {
    OperationKind.PAUSE: "Your subscription is paused. Come back whenever you like.",
    OperationKind.DISCOUNT: "Thank you for staying. The discount is on your next invoice.",
}


@blueprint.route("/billing/cancel", methods=["GET", "POST"])
@open_to(MEMBERS)
@limiter.limit(PRESSES, override_defaults=False, methods=["POST"])
def cancel() -> Response | str | tuple[str, int]:
    """Ask why, make the offer if there is one, and do as the member decides."""
    home = read_home(current_user.id)
    subscription = home.subscription
    if subscription is None or home.is_set_to_end:
        return redirect(url_for("billing.home"), 303)
    form = CancelForm()
    if not form.validate_on_submit():
        page = _page("billing/cancel.html", home, form)
        return (page, 422) if form.is_submitted() else page
    offer = offer_for(subscription)
    if offer.kind is not CancelOffer.NONE and form.decision.data not in (STAY, LEAVE):
        return _offer_page(home, form, subscription, offer)
    try:
        _decide(form)
    except OfferChanged as error:
        db.session.rollback()
        flash(error.sentence, "info")
        return _offer_page(home, form, subscription, offer_for(subscription))
    except (ChangeRefused, NotSubscribed) as error:
        db.session.rollback()
        flash(error.sentence, "error")
    return redirect(url_for("billing.home"), 303)


def _decide(form: CancelForm) -> None:
    """Stay for the offer that was seen, or leave."""
    leaving = Leaving(CancelReason(form.reason.data), form.comment.data or "")
    if form.decision.data == STAY:
        operation = changing.stay(current_user.id, leaving, form.terms.data or "", actor())
        carry_out_now(operation, STAYED[operation.kind])
    else:
        operation = changing.cancel(current_user.id, leaving, actor())
        carry_out_now(operation, "Your cancellation is noted. Thank you for having been here.")


def _offer_page(home: Home, form: CancelForm, subscription: Subscription, offer: Offer) -> str:
    pause_until = changing.resumes_at(subscription.current_period_end, offer.months)
    return _page("billing/offer.html", home, form, offer=offer, pause_until=pause_until)


def _page(template: str, home: Home, form: CancelForm, **context: object) -> str:
    at_once = home.subscription is not None and (
        home.subscription.status in changing.ENDS_AT_ONCE or not get_settings().cancel_at_period_end
    )
    return render_template(
        template, home=home, form=form, settings=get_settings(), at_once=at_once, **context
    )
