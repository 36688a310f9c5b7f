"""The pricing page, the way to Stripe's page, and the welcome on coming back."""

import re

from flask import abort, flash, make_response, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.queries import find_member
from webapp.billing.errors import AlreadySubscribed, NotForSale, PaymentPageAway
from webapp.billing.forms import MAX_ID, SubscribeForm
from webapp.billing.models import CheckoutState, Interval
from webapp.billing.queries.home import (
    find_customer,
    find_live_subscription,
    has_had_trial,
    read_home,
)
from webapp.billing.queries.plans import best_saving, find_offer, list_offers
from webapp.billing.queries.settings import get_settings
from webapp.billing.services.changing import CHANGEABLE
from webapp.billing.services.checkout import Subscriber, find_own_checkout, open_checkout
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.billing.views.blueprint import blueprint
from webapp.core.access import EVERYONE, MEMBERS, open_to
from webapp.core.db import db
from webapp.core.security import limiter
from webapp.core.shop import get_shop
from webapp.payments.errors import StripeRefused, StripeUnavailable

SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{8,250}")
PRESSES = "20 per minute"
LOOKS = "60 per minute"


@blueprint.get("/pricing")
@open_to(EVERYONE)
def pricing() -> Response:
    """Show what can be subscribed to, by the month or by the year."""
    every = request.args.get("every")
    interval = Interval(every) if every in list(Interval) else None
    currency = get_shop().currency
    prices = list_offers(currency, interval)
    current, trial_is_open = _own_terms()
    page = make_response(
        render_template(
            "billing/pricing.html",
            prices=prices,
            saving=best_saving(currency),
            current=current,
            is_member=current_user.is_authenticated,
            trial_is_open=trial_is_open,
            ends_later=get_settings().cancel_at_period_end,
        )
    )
    if current_user.is_authenticated:
        page.headers["Cache-Control"] = "private, no-store"
    return page


def _own_terms() -> tuple[int | None, bool]:
    """Return the price a member has now (0: one that isn't ours), and whether they may try."""
    if not current_user.is_authenticated:
        return None, True
    customer = find_customer(current_user.id)
    if customer is None:
        return None, True
    live = find_live_subscription(customer.id)
    has = None if live is None else live.plan_price_id or 0
    return has, not has_had_trial(customer)


@blueprint.get("/billing/subscribe")
@open_to(MEMBERS)
def confirm() -> Response | str:
    """Show what was chosen before login, with the button that goes on to the payment page."""
    price_id = request.args.get("price", type=int)
    offer = find_offer(price_id) if price_id and 0 < price_id <= MAX_ID else None
    if offer is None:
        return redirect(url_for("billing.pricing"), 303)
    has, trial_is_open = _own_terms()
    if has is not None:
        return _to_change(price_id)
    return render_template("billing/confirm.html", offer=offer, trial_is_open=trial_is_open)


@blueprint.post("/billing/subscribe")
@open_to(MEMBERS)
@limiter.limit(PRESSES, override_defaults=False)
def subscribe() -> Response:
    """Hand a member over to Stripe's page; one who subscribes already changes what they have."""
    form = SubscribeForm()
    if not form.validate():
        flash("Choose one of the plans.", "error")
        return redirect(url_for("billing.pricing"), 303)
    member = find_member(current_user.id)
    who = Subscriber(current_user.id, current_user.email, member.name if member else "")
    try:
        return redirect(open_checkout(who, form.price.data), 303)
    except AlreadySubscribed:
        db.session.rollback()
        return _to_change(form.price.data)
    except (NotForSale, PaymentPageAway) as error:
        db.session.rollback()
        flash(error.sentence, "error")
        return redirect(url_for("billing.pricing"), 303)


def _to_change(price_id: int | None) -> Response:
    live = read_home(current_user.id).subscription
    if live is not None and live.status in CHANGEABLE:
        return redirect(url_for("billing.change", price=price_id), 303)
    return redirect(url_for("billing.home"), 303)


@blueprint.get("/billing/welcome")
@open_to(MEMBERS)
@limiter.limit(LOOKS, override_defaults=False)
def welcome() -> Response | str:
    """Say what came of Stripe's page, asking Stripe itself: the webhook may be late."""
    session_id = request.args.get("session_id", "")
    if not SESSION_ID.fullmatch(session_id):
        abort(404)
    checkout = find_own_checkout(current_user.id, session_id)
    if checkout is None:
        abort(404)
    try:
        sync_now(Ref(RefKind.SESSION, session_id))
        db.session.commit()
    except (StripeUnavailable, StripeRefused):
        db.session.rollback()
    home = read_home(current_user.id)
    if home.subscription is None:
        if db.session.get_one(type(checkout), checkout.id).state is CheckoutState.EXPIRED:
            flash("Nothing was charged. Choose a plan whenever you like.", "info")
            return redirect(url_for("billing.pricing"), 303)
        # Stripe counts whole seconds.
        begun = checkout.created_at.replace(microsecond=0)
        if home.ended is not None and home.ended.started_at >= begun:
            return redirect(url_for("billing.home"), 303)
        again = url_for("billing.welcome", session_id=session_id)
        return render_template("billing/confirming.html", retry_url=again)
    return render_template("billing/welcome.html", home=home)
