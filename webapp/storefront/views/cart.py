"""The cart: put in, change, take out, choose how it is sent, name a code."""

import uuid

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webapp.catalog.queries import list_offers
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.security import limiter
from webapp.core.shop import get_shop
from webapp.orders.errors import CartError, EmailNeeded
from webapp.orders.queries import find_cart, view_cart
from webapp.orders.services import cart as carts
from webapp.storefront.cart_cookie import forget_cart, keep_cart, read_cart_id
from webapp.storefront.forms import (
    MAX_QUANTITY,
    AddForm,
    CartChange,
    DiscountForm,
    Incomplete,
    ShippingForm,
    read_cart_change,
)
from webapp.storefront.views.blueprint import blueprint
from webapp.storefront.views.member_cart import (
    find_cart_elsewhere,
    find_visitors_cart,
    open_visitors_cart,
)

CHANGES = "120 per minute"
GUESSES = "15 per minute; 60 per hour"


@blueprint.get("/cart")
@open_to(EVERYONE)
def cart() -> Response:
    cart_id = find_visitors_cart()
    view = view_cart(cart_id, get_shop())
    elsewhere = find_cart_elsewhere() if view.empty else None
    if elsewhere is not None:
        cart_id, view = elsewhere, view_cart(elsewhere, get_shop())
    closed = cart_id is None and read_cart_id() is not None
    if closed:
        flash("Sign in to go on with the cart that was filled here.", "info")
    page = make_response(
        render_template(
            "storefront/cart.html",
            cart=view,
            quote=view.quote,
            notices=view.notices,
            countries=view.countries,
            country=view.country,
            shipping_methods=view.shipping_methods,
            code_to_confirm=request.args.get("code", "")[:64],
            cart_count=view.pieces,
        )
    )
    if elsewhere is not None:
        keep_cart(page, elsewhere)
    if closed:
        forget_cart(page)
    page.headers["Cache-Control"] = "private, no-store"
    if cart_id is not None and any(line.notice for line in view.lines):
        # Told once: from here on the visitor knows these prices.
        carts.acknowledge_prices(cart_id)
        db.session.commit()
    return page


@blueprint.post("/cart/add")
@open_to(EVERYONE)
@limiter.limit(CHANGES, override_defaults=False)
def add_to_cart() -> Response:
    form = AddForm()
    if not form.validate():
        if form.sku_id.errors:
            raise Incomplete
        flash(form.sentence(), "error")
        return redirect(_product_path(form.sku_id.data), 303)
    try:
        cart_id = open_visitors_cart()
        offer = carts.add_to_cart(cart_id, form.sku_id.data, form.quantity.data)
    except CartError as error:
        db.session.rollback()
        flash(error.sentence, "error")
        return redirect(_product_path(form.sku_id.data), 303)
    db.session.commit()
    flash(f"{offer.title} is in your cart.", "success")
    response = _to_cart()
    keep_cart(response, cart_id)
    return response


def _product_path(sku_id: int) -> str:
    offer = list_offers([sku_id]).get(sku_id)
    if offer is None or not offer.published:
        return url_for("storefront.cart")
    return url_for("storefront.product", slug=offer.slug)


@blueprint.post("/cart/update")
@open_to(EVERYONE)
@limiter.limit(CHANGES, override_defaults=False)
def update_cart() -> Response:
    change = read_cart_change(request.form)
    found = find_cart(find_visitors_cart())
    if found is None:
        flash("Your cart is empty.", "error")
        return _to_cart()
    if change.remove is not None:
        carts.set_quantity(found.id, change.remove, 0)
    else:
        before = {line.sku_id: line.quantity for line in found.lines}
        _set_quantities(found.id, before, change)
    db.session.commit()
    response = _to_cart()
    keep_cart(response, found.id)
    return response


def _set_quantities(cart_id: uuid.UUID, before: dict[int, int], change: CartChange) -> None:
    """Set what differs; what can't be had is told and stays as it was."""
    for sku_id, quantity in sorted(change.quantities.items()):
        if sku_id not in before or quantity == before[sku_id]:
            continue
        if quantity is None:
            flash(f"Choose a quantity from 0 to {MAX_QUANTITY}.", "error")
            continue
        try:
            carts.set_quantity(cart_id, sku_id, quantity)
        except DomainError as error:
            flash(error.sentence, "error")


@blueprint.post("/cart/shipping")
@open_to(EVERYONE)
@limiter.limit(CHANGES, override_defaults=False)
def choose_shipping() -> Response:
    form = ShippingForm()
    if not form.validate():
        flash(form.sentence(), "error")
        return _to_cart()
    cart_id = find_visitors_cart()
    if cart_id is None:
        return _to_cart()
    try:
        carts.choose_shipping(cart_id, form.country.data, form.method.data or None, get_shop())
        db.session.commit()
    except CartError as error:
        db.session.rollback()
        flash(error.sentence, "error")
    return _to_cart()


@blueprint.post("/cart/discount")
@open_to(EVERYONE)
@limiter.limit(GUESSES, override_defaults=False)
def apply_discount() -> Response:
    form = DiscountForm()
    if not form.validate():
        flash(form.sentence(), "error")
        return _to_cart()
    cart_id = find_visitors_cart()
    if cart_id is None:
        return _to_cart()
    try:
        carts.apply_discount(cart_id, form.code.data, form.email.data or None)
        db.session.commit()
    except EmailNeeded as error:
        db.session.rollback()
        flash(error.sentence, "error")
        return redirect(url_for("storefront.cart", code=form.code.data.upper()), 303)
    except CartError as error:
        db.session.rollback()
        flash(error.sentence, "error")
    else:
        flash(f"The code {form.code.data.upper()} was applied.", "success")
    return _to_cart()


@blueprint.post("/cart/discount/remove")
@open_to(EVERYONE)
@limiter.limit(CHANGES, override_defaults=False)
def remove_discount() -> Response:
    form = DiscountForm()
    cart_id = find_visitors_cart()
    if form.validate() and cart_id is not None:
        try:
            carts.remove_discount(cart_id, form.code.data)
            db.session.commit()
        except CartError as error:
            db.session.rollback()
            flash(error.sentence, "error")
    return _to_cart()


def _to_cart() -> Response:
    return redirect(url_for("storefront.cart"), 303)
