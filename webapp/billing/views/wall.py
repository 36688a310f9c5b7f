"""The wall: what somebody sees in place of what they haven't paid for."""

from flask import redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.billing.gating import current_entitlement
from webapp.billing.models import DeclineKind
from webapp.billing.queries.dunning import find_card, list_owed
from webapp.billing.queries.home import find_customer, find_unpaid
from webapp.billing.views.blueprint import blueprint
from webapp.core.access import MEMBERS, open_to


@blueprint.get("/billing/wall")
@open_to(MEMBERS)
def wall() -> Response | str:
    """Say what is owed, why everything else is shut, and how it opens again at once."""
    entitlement, customer = current_entitlement(), find_customer(current_user.id)
    if entitlement is None or entitlement.walled_at is None or customer is None:
        return redirect(url_for("billing.home"), 303)
    owed = list_owed(customer.id)
    return render_template(
        "billing/wall.html",
        owed=owed,
        unpaid=None if owed else find_unpaid(customer.id)[0],
        card=find_card(customer),
        confirm=any(each.kind is DeclineKind.AUTHENTICATION for each in owed),
    )
