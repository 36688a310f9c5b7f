"""The billing home, its invoices and receipts, and the way to Stripe's portal."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.views.guard import actor
from webapp.billing.errors import ChangeRefused, NotSubscribed
from webapp.billing.models import Channel
from webapp.billing.queries.home import find_customer, read_home
from webapp.billing.queries.invoices import LATEST, find_invoice, list_invoices, read_receipt
from webapp.billing.services import changing
from webapp.billing.services.dunning import links
from webapp.billing.views.acting import carry_out_now
from webapp.billing.views.blueprint import blueprint
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.core.security import limiter
from webapp.core.state import current_config
from webapp.payments import gateway
from webapp.payments.errors import StripeRefused, StripeUnavailable

PRESSES = "20 per minute"
AWAY = "The payment service doesn’t answer just now. Please try again in a moment."
MOST_PAGES = 100_000


@blueprint.get("/billing")
@open_to(MEMBERS)
def home() -> str:
    """Show where a member stands: plan, status, next charge, card, latest invoices."""
    return render_template(
        "billing/home.html",
        home=read_home(current_user.id),
        invoices=list_invoices(current_user.id, size=LATEST),
    )


@blueprint.post("/billing/resume")
@open_to(MEMBERS)
@limiter.limit(PRESSES, override_defaults=False)
def resume() -> Response:
    """Take a cancellation back."""
    try:
        operation = changing.resume(current_user.id, actor())
    except (ChangeRefused, NotSubscribed) as error:
        return _refused(error.sentence)
    carry_out_now(operation, "Good to have you back: your subscription goes on as before.")
    return redirect(url_for("billing.home"), 303)


@blueprint.post("/billing/unpause")
@open_to(MEMBERS)
@limiter.limit(PRESSES, override_defaults=False)
def unpause() -> Response:
    """End a pause now."""
    try:
        operation = changing.unpause(current_user.id, actor())
    except (ChangeRefused, NotSubscribed) as error:
        return _refused(error.sentence)
    carry_out_now(operation, "Your subscription goes on.")
    return redirect(url_for("billing.home"), 303)


@blueprint.post("/billing/portal")
@open_to(MEMBERS)
@limiter.limit(PRESSES, override_defaults=False)
def portal() -> Response:
    """Hand a member over to Stripe's portal, where cards and billing details are theirs to mend."""
    customer = find_customer(current_user.id)
    stripe_id = customer.stripe_customer_id if customer and not customer.deleted_at else None
    if customer is None or stripe_id is None:
        return _refused("There is nothing to pay for yet. Choose a plan first.")
    links.note_visit(customer.id, Channel.PORTAL)
    db.session.commit()
    back = current_config().base_url.rstrip("/") + url_for("billing.home")
    try:
        return redirect(gateway.create_portal_session(stripe_id, back), 303)
    except (StripeUnavailable, StripeRefused):
        return _refused(AWAY)


@blueprint.get("/billing/invoices")
@open_to(MEMBERS)
def invoices() -> Response | str:
    """List a member's invoices, by a part of their number or by year."""
    words = request.args.get("q", "").replace("\0", "")[:100]
    number = request.args.get("page", 1, type=int)
    found = list_invoices(current_user.id, min(max(number, 1), MOST_PAGES), words)
    if number != found.number:
        return redirect(url_for("billing.invoices", page=found.number, q=words or None), 303)
    return render_template("billing/invoices.html", page=found, words=words)


@blueprint.get("/billing/invoices/<int:invoice_id>")
@open_to(MEMBERS)
def invoice(invoice_id: int) -> str:
    """Show one invoice as a receipt that prints well."""
    found = find_invoice(current_user.id, invoice_id)
    if found is None:
        abort(404)
    customer = find_customer(current_user.id)
    return render_template("billing/invoice.html", receipt=read_receipt(found), customer=customer)


@blueprint.get("/billing/invoices/<int:invoice_id>/pdf")
@open_to(MEMBERS)
@limiter.limit(PRESSES, override_defaults=False)
def invoice_pdf(invoice_id: int) -> Response:
    """Lead to Stripe's PDF, by an address asked for anew: those that are stored run out."""
    found = find_invoice(current_user.id, invoice_id)
    if found is None:
        abort(404)
    stripe_id, kept = found.stripe_id, found.invoice_pdf
    db.session.commit()
    try:
        address = gateway.get_invoice(stripe_id).invoice_pdf
    except (StripeUnavailable, StripeRefused):
        address = kept
    if address is None:
        flash("There is no PDF of this invoice. This page prints just as well.", "info")
        return redirect(url_for("billing.invoice", invoice_id=invoice_id), 303)
    return redirect(address, 303)


def _refused(sentence: str) -> Response:
    db.session.rollback()
    flash(sentence, "error")
    return redirect(url_for("billing.home"), 303)
