"""Invoices: what a customer owes, from draft to paid or given up."""

from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.billing import drafting, invoicing, items, lines, offers, paying
from sandbox.stripe.billing.drafting import Bill
from sandbox.stripe.expand import includable
from sandbox.stripe.listing import listed, sublist
from sandbox.stripe.resources.invoice_payments import of_invoice
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata

_URL = "/v1/invoices"
_UNSUPPORTED = (
    "account_tax_ids",
    "application_fee_amount",
    "customer_account",
    "default_source",
    "from_invoice",
    "on_behalf_of",
    "shipping_cost",
    "transfer_data",
)
_PLAIN = (
    "auto_advance",
    "collection_method",
    "custom_fields",
    "default_payment_method",
    "description",
    "due_date",
    "footer",
    "number",
    "statement_descriptor",
)
#: What may still be changed once an invoice is finalised.
_LATER = {"auto_advance", "default_payment_method", "metadata"}


@route("POST", _URL)
def create(call: Call) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, _UNSUPPORTED)
    check_metadata(params.get("metadata") or {})
    if not params.get("customer"):
        raise errors.invalid("Missing required param: customer.", "customer", "parameter_missing")
    customer = world.named("customer", params["customer"], "customer")
    world.live_with(customer)
    subscription = None
    if params.get("subscription"):
        subscription = world.named("subscription", params["subscription"], "subscription")
    held = subscription.body["currency"] if subscription else customer.body["currency"]
    currency = (params.get("currency") or held or "usd").lower()
    more: Json = {"auto_advance": False, **call.pick(*_PLAIN)}
    more["metadata"] = params.get("metadata") or {}
    if params.get("days_until_due") is not None:
        more["due_date"] = world.now + params["days_until_due"] * 86_400
    bill = Bill(customer, currency, "manual", subscription, more=more)
    bill.pending = params.get("pending_invoice_items_behavior") == "include" or bool(subscription)
    holder = {"customer": customer.id}
    bill.discounts = offers.attach(world, params.get("discounts") or [], holder, currency, 0)
    invoice = drafting.draft(world, bill)
    if subscription is not None:
        world.save(subscription)
    world.emit("invoice.created", invoice)
    if invoice.body["auto_advance"]:
        drafting.finalize_later(world, invoice)
    return invoice


@route("POST", _URL + "/create_preview")
def create_preview(call: Call) -> Json:
    return invoicing.preview(call.world, call.params)


@route("GET", _URL + "/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("invoice", id, "invoice")


@route("POST", _URL + "/{id}")
def update(call: Call, id: str) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, _UNSUPPORTED)
    invoice = world.get("invoice", id, "invoice")
    draft = invoice.body["status"] == "draft"
    if not draft and set(params) - _LATER:
        raise errors.invalid(
            "Finalized invoices can't be updated in this way.", code="invoice_not_editable"
        )
    changes = call.pick(*_PLAIN)
    if "metadata" in params:
        changes["metadata"] = merged_metadata(invoice.body["metadata"], params["metadata"])
    if params.get("days_until_due") is not None:
        changes["due_date"] = invoice.body["created"] + params["days_until_due"] * 86_400
    if "default_tax_rates" in params:
        sent = params["default_tax_rates"]
        changes["default_tax_rates"] = items.rates(world, sent, "default_tax_rates")
    previous = world.change(invoice, changes)
    if "discounts" in params:
        holder = {"customer": invoice.body["customer"], "invoice": invoice.id}
        wanted = params["discounts"] or []
        ids = offers.attach(world, wanted, holder, invoice.body["currency"], 0)
        drafting.reprice(world, invoice, lines.of(invoice), offers.running(world, ids))
    world.emit("invoice.updated", invoice, previous)
    _follow_advance(world, invoice, previous)
    return invoice


def _follow_advance(world: World, invoice: Row, previous: Json) -> None:
    """Automatic collection that is turned on or off, by hand."""
    if "auto_advance" not in previous:
        return
    if not invoice.body["auto_advance"]:
        world.drop_timers(invoice.id)
        changes = {"automatically_finalizes_at": None, "next_payment_attempt": None}
        world.change(invoice, changes)
    elif invoice.body["status"] == "draft":
        drafting.finalize_later(world, invoice)
    elif invoice.body["status"] == "open":
        world.set_timer(invoice.id, "retry", world.now + 3600)
        world.change(invoice, {"next_payment_attempt": world.now + 3600})


@route("DELETE", _URL + "/{id}")
def delete(call: Call, id: str) -> Json:
    world = call.world
    invoice = world.get("invoice", id, "invoice")
    if invoice.body["status"] != "draft" or invoice.body["parent"]:
        raise errors.invalid(
            "You can only delete draft invoices that no subscription made.",
            code="invoice_not_editable",
        )
    for row in world.rows("invoiceitem", ["json_extract(body, '$.invoice') = ?"], [id]):
        world.delete(row)
    world.drop_timers(id)
    world.emit("invoice.deleted", invoice)
    return world.delete(invoice)


@route("POST", _URL + "/{id}/finalize")
def finalize(call: Call, id: str) -> Row:
    world = call.world
    invoice = world.get("invoice", id, "invoice")
    if "auto_advance" in call.params:
        world.change(invoice, {"auto_advance": call.params["auto_advance"]})
    invoicing.finalize(world, invoice)
    automatic = invoice.body["collection_method"] == "charge_automatically"
    if invoice.body["status"] == "open" and invoice.body["auto_advance"] and automatic:
        # Stripe tries to collect it an hour later.
        world.set_timer(invoice.id, "retry", world.now + 3600)
        world.change(invoice, {"next_payment_attempt": world.now + 3600})
    return invoice


@route("POST", _URL + "/{id}/pay")
def pay(call: Call, id: str) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, ("mandate", "source"))
    invoice = world.get("invoice", id, "invoice")
    if params.get("paid_out_of_band"):
        if invoice.body["status"] == "draft":
            invoicing.finalize(world, invoice)
        paying.pay_elsewhere(world, invoice)
        return invoice
    on_session = not params.get("off_session", True)
    paying.pay(world, invoice, params.get("payment_method"), on_session)
    return invoice


@route("POST", _URL + "/{id}/send")
def send(call: Call, id: str) -> Row:
    invoice = call.world.get("invoice", id, "invoice")
    if invoice.body["status"] == "draft":
        invoicing.finalize(call.world, invoice)
    call.world.emit("invoice.sent", invoice)
    return invoice


@route("POST", _URL + "/{id}/void")
def void(call: Call, id: str) -> Row:
    invoice = call.world.get("invoice", id, "invoice")
    invoicing.void(call.world, invoice)
    return invoice


@route("POST", _URL + "/{id}/mark_uncollectible")
def mark_uncollectible(call: Call, id: str) -> Row:
    invoice = call.world.get("invoice", id, "invoice")
    invoicing.write_off(call.world, invoice)
    return invoice


@route("GET", _URL + "/{id}/lines")
def list_lines(call: Call, id: str) -> Json:
    invoice = call.world.get("invoice", id, "invoice")
    bodies = [line.body for line in lines.of(invoice)]
    return sublist(bodies, f"{_URL}/{id}/lines", call.params, "line_item")


@route("GET", _URL)
def list_(call: Call) -> Json:
    errors.unsupported(call.params, ("customer_account",))
    where, values = [], []
    if call.params.get("subscription"):
        where.append("json_extract(body, '$.parent.subscription_details.subscription') = ?")
        values.append(call.params["subscription"])
    equal = ("customer", "collection_method", "status")
    return listed(call, "invoice", _URL, equal, where, values)


@includable("invoice", "payments")
def _payments(world: World, invoice: Json) -> Json:
    rows = of_invoice(world, invoice["id"])
    url = f"/v1/invoice_payments?invoice={invoice['id']}"
    data = [row.body for row in rows[:10]]
    return {"object": "list", "data": data, "has_more": len(rows) > 10, "url": url}


@includable("invoice", "confirmation_secret")
def _confirmation_secret(world: World, invoice: Json) -> Any:
    row = world.find("invoice", invoice["id"])
    intent = row and world.find("payment_intent", row.private.get("intent"))
    if not intent or invoice["status"] not in ("open", "uncollectible"):
        return None
    return {"client_secret": intent.body["client_secret"], "type": "payment_intent"}
