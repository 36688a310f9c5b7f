"""Leaving a new card: by a link from a mail without logging in, or as a member."""

import re
from collections.abc import Callable
from functools import partial

from flask import abort, flash, redirect, render_template, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.views.keys import refused, unshared
from webapp.billing.errors import CardLinkOver, PaymentPageAway
from webapp.billing.models import (
    BillingCheckout,
    BillingCustomer,
    BillingOperation,
    Channel,
    CheckoutState,
    DeclineKind,
    OperationKind,
    OperationState,
)
from webapp.billing.queries.dunning import Owed, find_card, list_owed
from webapp.billing.queries.home import find_customer
from webapp.billing.queries.payable import is_being_paid
from webapp.billing.services.carrying_out import carry_out
from webapp.billing.services.dunning import links, opening
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.billing.views.blueprint import blueprint
from webapp.core.access import EVERYONE, MEMBERS, open_to
from webapp.core.db import db
from webapp.core.security import limiter
from webapp.core.signing import InvalidToken
from webapp.payments.errors import StripeRefused, StripeUnavailable

LOOKS = "60 per minute"
PRESSES = "20 per minute"
SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{8,250}")
CAME_BY = "card_link"
WAYS = {"banner": Channel.BANNER, "wall": Channel.WALL}
NOTHING_TO_PAY = "There is nothing to pay for yet. Choose a plan first."
NOTHING_CHANGED = "Nothing was changed."


@blueprint.get("/card/<token>")
@open_to(EVERYONE)
@limiter.limit(LOOKS, override_defaults=False)
def card(token: str) -> Response:
    """Show what is owed to whoever holds a link. Scanners look too: nothing changes here."""
    try:
        link = links.find(token)
    except (CardLinkOver, InvalidToken) as error:
        return refused("billing/card_over.html", error)
    customer = db.session.get_one(BillingCustomer, link.customer_id)
    return _card_page(customer, url_for("billing.open_card", token=token))


@blueprint.post("/card/<token>")
@open_to(EVERYONE)
@limiter.limit(PRESSES, override_defaults=False)
def open_card(token: str) -> Response:
    """Hand the holder of a link over to Stripe's page."""
    try:
        link = links.find(token)
    except (CardLinkOver, InvalidToken) as error:
        return refused("billing/card_over.html", error)
    session[CAME_BY] = token
    return _hand_over(
        link.customer_id,
        partial(opening.mark_opened, link.id),
        url_for("billing.card", token=token),
    )


@blueprint.get("/billing/card")
@open_to(MEMBERS)
def own_card() -> Response:
    """Show a member their card and what is owed."""
    customer = find_customer(current_user.id)
    if customer is None or customer.stripe_customer_id is None:
        flash(NOTHING_TO_PAY, "info")
        return redirect(url_for("billing.home"), 303)
    return _card_page(customer, url_for("billing.open_own_card"))


@blueprint.post("/billing/card")
@open_to(MEMBERS)
@limiter.limit(PRESSES, override_defaults=False)
def open_own_card() -> Response:
    """Hand a member over to Stripe's page; ``from`` is the banner or the wall that led here."""
    customer = find_customer(current_user.id)
    if customer is None or customer.stripe_customer_id is None:
        flash(NOTHING_TO_PAY, "info")
        return redirect(url_for("billing.home"), 303)
    session.pop(CAME_BY, None)
    channel = WAYS.get(request.form.get("from", ""), Channel.OTHER)
    note = partial(links.note_visit, customer.id, channel)
    return _hand_over(customer.id, note, url_for("billing.own_card"))


@blueprint.get("/card/done")
@open_to(EVERYONE)
@limiter.limit(LOOKS, override_defaults=False)
def card_done() -> Response:
    """Use the card that was left just now, and say what came of it; the webhook does the same."""
    session_id = request.args.get("session_id", "")
    checkout = _find_checkout(session_id)
    if not opening.may_look(checkout):
        return refused("billing/card_over.html", CardLinkOver())
    customer_id = checkout.customer_id
    away = not _settle(session_id)
    checkout = _find_checkout(session_id)
    if checkout.state is not CheckoutState.COMPLETE and not away:
        return redirect(url_for("billing.card_left"), 303)
    customer = db.session.get_one(BillingCustomer, customer_id, populate_existing=True)
    owed = list_owed(customer_id)
    asked = links.list_requests(session_id)
    under_way = is_being_paid(customer_id)
    page = render_template(
        "billing/card_done.html",
        card=find_card(customer),
        owed=owed,
        waiting=away or under_way or any(each.state is OperationState.REQUESTED for each in asked),
        paid=not under_way and any(_was_paid(each.kind, each.state) for each in asked),
        kept=all(not _was_refused(each, OperationKind.SET_DEFAULT_CARD) for each in asked),
        refusals=[each.error for each in asked if each.state is OperationState.REFUSED],
        session_id=session_id,
        again=opening.may_retry(checkout),
        home=_home(customer),
    )
    return unshared(page)


@blueprint.post("/card/done")
@open_to(EVERYONE)
@limiter.limit(PRESSES, override_defaults=False)
def try_another_card() -> Response:
    """Lead whoever was at Stripe's page just now there again: the card they left was refused."""
    checkout = _find_checkout(request.form.get("session_id", ""))
    if not opening.may_retry(checkout):
        return refused("billing/card_over.html", CardLinkOver())
    back = url_for("billing.card_done", session_id=checkout.stripe_session_id)
    return _hand_over(checkout.customer_id, lambda: None, back)


@blueprint.get("/card/left")
@open_to(EVERYONE)
@limiter.limit(LOOKS, override_defaults=False)
def card_left() -> Response:
    """Lead whoever turned back at Stripe's page to where they came from."""
    flash(NOTHING_CHANGED, "info")
    token = session.get(CAME_BY)
    if isinstance(token, str):
        return redirect(url_for("billing.card", token=token), 303)
    return redirect(url_for("billing.own_card"), 303)


def _card_page(customer: BillingCustomer, action: str) -> Response:
    owed = list_owed(customer.id)
    page = render_template(
        "billing/card.html",
        action=action,
        card=find_card(customer),
        owed=owed,
        confirm=_to_confirm(owed) is not None,
        home=_home(customer),
    )
    return unshared(page)


def _hand_over(customer_id: int, note: Callable[[], None], back: str) -> Response:
    """Redirect to Stripe's page for a card; or to that of an invoice that only needs consent."""
    if request.form.get("way") == "bank" and (url := _to_confirm(list_owed(customer_id))):
        note()
        db.session.commit()
        return redirect(url, 303)
    try:
        return redirect(opening.open_card_page(customer_id, note), 303)
    except PaymentPageAway as error:
        db.session.rollback()
        flash(error.sentence, "error")
        return redirect(back, 303)


def _to_confirm(owed: list[Owed]) -> str | None:
    """Return the page of the first invoice whose bank only wants its customer's consent."""
    waiting = [each for each in owed if each.kind is DeclineKind.AUTHENTICATION]
    return next((each.invoice_url for each in waiting if each.invoice_url), None)


def _find_checkout(session_id: str) -> BillingCheckout:
    checkout = opening.find_finished(session_id) if SESSION_ID.fullmatch(session_id) else None
    if checkout is None:
        abort(404)
    return checkout


def _settle(session_id: str) -> bool:
    """Write what Stripe knows of the session and carry out what follows; False without Stripe."""
    try:
        sync_now(Ref(RefKind.SESSION, session_id))
        db.session.commit()
        for operation_id in links.list_open_requests(session_id):
            carry_out(operation_id)
    except (StripeUnavailable, StripeRefused):
        db.session.rollback()
        return False
    return True


def _was_paid(kind: OperationKind, state: OperationState) -> bool:
    return kind is OperationKind.PAY_INVOICE and state is OperationState.DONE


def _was_refused(operation: BillingOperation, kind: OperationKind) -> bool:
    return operation.kind is kind and operation.state is OperationState.REFUSED


def _home(customer: BillingCustomer) -> str | None:
    """Return the billing home for the member themselves; a link's holder may be somebody else."""
    mine = current_user.is_authenticated and current_user.id == customer.user_id
    return url_for("billing.home") if mine else None
