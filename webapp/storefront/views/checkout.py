"""Handing the buyer over to Stripe, and welcoming them back."""

import re

from flask import abort, flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webapp.campaigns.mail_cookie import read_mail_code
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.security import limiter
from webapp.orders.errors import AlreadyPaid, CartError, PaymentFailed
from webapp.orders.queries import view_order
from webapp.orders.services.checkout import open_checkout
from webapp.orders.services.settlement import find_or_place_order
from webapp.payments.errors import StripeUnavailable
from webapp.storefront.cart_cookie import forget_cart, read_cart_id
from webapp.storefront.forms import CheckoutForm, Incomplete
from webapp.storefront.views.blueprint import blueprint
from webapp.storefront.views.member_cart import find_visitors_cart

# Each press may promise stock for half an hour: nobody needs more of them than this.
ATTEMPTS = "30 per minute"
LOOKS = "60 per minute"
SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{8,250}")


@blueprint.post("/checkout")
@open_to(EVERYONE)
@limiter.limit(ATTEMPTS, override_defaults=False)
def checkout() -> Response:
    form = CheckoutForm()
    if not form.validate():
        raise Incomplete
    cart_id = find_visitors_cart()
    if cart_id is None:
        flash("Your cart is empty.", "error")
        return redirect(url_for("storefront.cart"), 303)
    try:
        address = open_checkout(
            cart_id,
            form.seen_total.data,
            form.seen_currency.data,
            g.get("request_id"),
            read_mail_code(),
        )
    except AlreadyPaid as paid:
        db.session.rollback()
        return redirect(url_for("storefront.success", session_id=paid.session_id), 303)
    except CartError as error:
        db.session.rollback()
        flash(error.sentence, "error")
        return redirect(url_for("storefront.cart"), 303)
    return redirect(address, 303)


@blueprint.get("/checkout/success")
@open_to(EVERYONE)
@limiter.limit(LOOKS, override_defaults=False)
def success() -> Response:
    """Show the order of a paid session, placing it when the webhook hasn't come yet."""
    session_id = request.args.get("session_id", "")
    if not SESSION_ID.fullmatch(session_id):
        abort(404)
    try:
        order = find_or_place_order(session_id)
        db.session.commit()
    except PaymentFailed as error:
        db.session.commit()  # what was found out stays found out: the stock is free again
        flash(error.sentence, "error")
        return redirect(url_for("storefront.cart"), 303)
    except StripeUnavailable:
        db.session.rollback()
        order = None
    if order is None:
        again = url_for("storefront.success", session_id=session_id)
        return _private(
            make_response(render_template("storefront/confirming.html", retry_url=again))
        )
    view = view_order(order.id)
    page = make_response(
        render_template("orders/success.html", order=view, status_url=view.status_url, cart_count=0)
    )
    if order.cart_id == read_cart_id():
        forget_cart(page)
    return _private(page)


def _private(page: Response) -> Response:
    # The address opens the order: keep it out of caches and of the next site's log.
    page.headers["Cache-Control"] = "private, no-store"
    page.headers["Referrer-Policy"] = "no-referrer"
    return page
