"""The account: where it stands, and what the member says about themselves."""

from flask import flash, redirect, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.forms.account import ProfileForm
from webapp.accounts.queries import find_member
from webapp.accounts.services.addresses import find_default_address
from webapp.accounts.services.profile import change_profile
from webapp.accounts.views.guard import actor
from webapp.billing.queries.home import find_plan_name
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.orders.queries import address_lines, list_member_orders
from webapp.storefront.private import show_privately
from webapp.storefront.views.blueprint import blueprint

LATEST = 3


@blueprint.get("/account")
@open_to(MEMBERS)
def account() -> Response:
    member = find_member(current_user.id)
    address = find_default_address(current_user.id)
    return show_privately(
        "accounts/overview.html",
        user=current_user.user,
        name=member.name if member is not None else "",
        orders=list_member_orders(current_user.id, limit=LATEST),
        address=address_lines(address) if address is not None else None,
        plan=find_plan_name(current_user.id),
    )


@blueprint.route("/account/profile", methods=["GET", "POST"])
@open_to(MEMBERS)
def account_profile() -> Response:
    form = ProfileForm(obj=find_member(current_user.id))
    if not form.validate_on_submit():
        status = 422 if form.is_submitted() else 200
        return show_privately("accounts/profile.html", status, form=form, user=current_user.user)
    change_profile(current_user.id, form.name.data, form.phone.data, actor())
    db.session.commit()
    flash("Saved.", "success")
    return redirect(url_for("storefront.account_profile"), 303)
