"""A member's orders: the list, and each as its status page shows it."""

from flask import abort, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.core.access import MEMBERS, open_to
from webapp.orders.queries import (
    MEMBER_PAGE_SIZE,
    count_member_orders,
    find_member_order,
    list_member_orders,
)
from webapp.storefront.paging import page_of, read_page_number
from webapp.storefront.private import show_privately
from webapp.storefront.views.blueprint import blueprint


@blueprint.get("/account/orders")
@open_to(MEMBERS)
def account_orders() -> Response:
    number = read_page_number(request.args.get("page"))
    if number is None:
        return redirect(url_for("storefront.account_orders"))
    total = count_member_orders(current_user.id)
    cards = list_member_orders(current_user.id, (number - 1) * MEMBER_PAGE_SIZE)
    page = page_of(cards, total, number, MEMBER_PAGE_SIZE)
    if number > page.pages:
        return redirect(url_for("storefront.account_orders", page=page.pages))
    return show_privately("accounts/orders.html", page=page)


@blueprint.get("/account/orders/<int:number>")
@open_to(MEMBERS)
def account_order(number: int) -> Response:
    order = find_member_order(current_user.id, number)
    if order is None:
        abort(404)
    return show_privately("accounts/order.html", order=order)
