"""Changing the plan: first what it costs to the cent, then the button."""

from datetime import datetime

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.views.guard import actor
from webapp.billing.errors import ChangeRefused, NotForSale, NotSubscribed
from webapp.billing.forms import MAX_ID, ChangeForm
from webapp.billing.models import Interval, Subscription, SubscriptionStatus
from webapp.billing.queries.home import Home, read_home
from webapp.billing.queries.plans import best_saving, find_offer, list_offers
from webapp.billing.services import changing
from webapp.billing.views.acting import carry_out_now
from webapp.billing.views.blueprint import blueprint
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.core.security import limiter
from webapp.payments import gateway
from webapp.payments.errors import StripeRefused, StripeUnavailable

PRESSES = "20 per minute"
LOOKS = "30 per minute"
MOVED = "The amount has changed since you saw it. Please look at it once more."


@blueprint.get("/billing/change")
@open_to(MEMBERS)
@limiter.limit(LOOKS, override_defaults=False)
def change() -> Response | str:
    """Show the plans to change to; with one chosen, what the change costs now."""
    home = read_home(current_user.id)
    if home.subscription is None:
        return redirect(url_for("billing.pricing"), 303)
    price_id = request.args.get("price", type=int)
    if price_id and 0 < price_id <= MAX_ID and price_id != home.subscription.plan_price_id:
        return _preview(home, price_id)
    every = request.args.get("every")
    interval = Interval(every) if every in list(Interval) else home.subscription.interval
    currency = home.subscription.currency
    return render_template(
        "billing/change.html",
        home=home,
        prices=list_offers(currency, interval),
        saving=best_saving(currency),
    )


@blueprint.post("/billing/change")
@open_to(MEMBERS)
@limiter.limit(PRESSES, override_defaults=False)
def change_plan() -> Response | str:
    """Change the plan at the amount that was shown, or show the new one."""
    form = ChangeForm()
    if not form.validate():
        flash("Choose the plan once more.", "error")
        return redirect(url_for("billing.change"), 303)
    home = read_home(current_user.id)
    if home.subscription is None:
        flash(NotSubscribed().sentence, "error")
        return redirect(url_for("billing.pricing"), 303)
    try:
        if not _still_costs(home, form):
            flash(MOVED, "info")
            return redirect(url_for("billing.change", price=form.price.data), 303)
        operation = changing.change_plan(current_user.id, form.price.data, form.moment, actor())
    except (ChangeRefused, NotForSale, NotSubscribed, StripeRefused, StripeUnavailable) as error:
        return _not_now(error.sentence)
    refused = carry_out_now(operation, "Done: your plan is changed.")
    return redirect(url_for("billing.change" if refused else "billing.home"), 303)


def _still_costs(home: Home, form: ChangeForm) -> bool:
    """Whether the change costs what was shown: asked for the same second, it does."""
    if home.subscription is None or not changing.is_recent(form.moment):
        return False
    preview = changing.preview_change(home.subscription, form.price.data, form.moment)
    return bool(preview.amount_due == form.due.data)


def _preview(home: Home, price_id: int, at: datetime | None = None) -> Response | str:
    if home.subscription is None:
        return redirect(url_for("billing.pricing"), 303)
    offer = find_offer(price_id)
    try:
        preview = changing.preview_change(home.subscription, price_id, at)
    except (ChangeRefused, NotForSale, StripeRefused, StripeUnavailable) as error:
        return _not_now(error.sentence)
    if offer is None:
        return redirect(url_for("billing.change"), 303)
    form = ChangeForm(
        formdata=None,
        price=price_id,
        at=int(preview.proration_date.timestamp()),
        due=preview.amount_due,
    )
    return render_template(
        "billing/change_preview.html",
        home=read_home(current_user.id),
        offer=offer,
        preview=preview,
        due=_due_now(home.subscription, preview),
        form=form,
    )


def _due_now(subscription: Subscription, preview: gateway.Preview) -> int:
    """What is charged at the change itself: a trial goes on, and its preview is of its end."""
    on_trial = subscription.status is SubscriptionStatus.TRIALING
    return 0 if on_trial else preview.amount_due


def _not_now(sentence: str) -> Response:
    db.session.rollback()
    flash(sentence, "error")
    return redirect(url_for("billing.home"), 303)
