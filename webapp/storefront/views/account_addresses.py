"""A member's addresses: see, add, change, remove, and choose the one parcels go to."""

from flask import flash, redirect, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.errors import TooManyAddresses
from webapp.accounts.forms.account import AddressForm
from webapp.accounts.services import addresses
from webapp.accounts.services.addresses import MAX_ADDRESSES
from webapp.accounts.views.guard import actor
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.orders.countries import country_names
from webapp.orders.queries import address_lines
from webapp.storefront.private import show_privately
from webapp.storefront.views.blueprint import blueprint

ONE = "/account/addresses/<int:address_id>"


@blueprint.get("/account/addresses")
@open_to(MEMBERS)
def account_addresses() -> Response:
    kept = addresses.list_addresses(current_user.id)
    return show_privately(
        "accounts/addresses.html",
        addresses=[(each, address_lines(each)) for each in kept],
        full=len(kept) >= MAX_ADDRESSES,
        most=MAX_ADDRESSES,
    )


@blueprint.route("/account/addresses/new", methods=["GET", "POST"])
@open_to(MEMBERS)
def add_address() -> Response:
    form = _form()
    if not form.validate_on_submit():
        if not form.is_submitted():
            form.country.data = get_shop().country
        return _show(form, "Add an address")
    try:
        added = addresses.add_address(current_user.id, form.address(), actor())
    except TooManyAddresses as full:
        db.session.rollback()
        flash(full.sentence, "error")
        return _to_list()
    return _keep(form, added.id, "The address is kept.")


@blueprint.route(ONE, methods=["GET", "POST"])
@open_to(MEMBERS)
def change_address(address_id: int) -> Response:
    address = addresses.get_address(current_user.id, address_id)
    form = _form()
    if not form.is_submitted():
        form.fill(address)
    elif form.validate():
        addresses.change_address(current_user.id, address_id, form.address(), actor())
        return _keep(form, address_id, "The address was changed.")
    return _show(form, "Change an address")


@blueprint.post(f"{ONE}/remove")
@open_to(MEMBERS)
def remove_address(address_id: int) -> Response:
    addresses.remove_address(current_user.id, address_id, actor())
    db.session.commit()
    flash("The address was removed.", "success")
    return _to_list()


@blueprint.post(f"{ONE}/default")
@open_to(MEMBERS)
def default_address(address_id: int) -> Response:
    addresses.make_default(current_user.id, address_id, actor())
    db.session.commit()
    flash("Parcels go there from now on.", "success")
    return _to_list()


def _form() -> AddressForm:
    form = AddressForm()
    names = country_names(get_shop().locale)
    form.country.choices = sorted(names.items(), key=lambda item: item[1])
    return form


def _keep(form: AddressForm, address_id: int, sentence: str) -> Response:
    if form.make_default.data:
        addresses.make_default(current_user.id, address_id, actor())
    db.session.commit()
    flash(sentence, "success")
    return _to_list()


def _show(form: AddressForm, title: str) -> Response:
    status = 422 if form.is_submitted() else 200
    return show_privately("accounts/address.html", status, form=form, title=title)


def _to_list() -> Response:
    return redirect(url_for("storefront.account_addresses"), 303)
