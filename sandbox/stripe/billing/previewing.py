"""An invoice seen before it exists: the real one is made in a rehearsal and taken back."""

from sandbox.stripe import errors
from sandbox.stripe.billing import (
    changing,
    cycles,
    drafting,
    extras,
    items,
    proration,
    standing,
    subscribing,
)
from sandbox.stripe.billing.drafting import Bill
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_UNSUPPORTED = ("customer_account", "on_behalf_of", "schedule", "schedule_details")
_DETAILS_UNSUPPORTED = ("billing_schedules", "pause", "resume_at")


def preview(world: World, params: Json) -> Json:
    """What `POST /v1/invoices/create_preview` answers; raises ApiError."""
    errors.unsupported(params, _UNSUPPORTED)
    errors.unsupported(params.get("subscription_details") or {}, _DETAILS_UNSUPPORTED)
    with world.rehearsal():
        invoice = _made(world, params)
    body = invoice.body
    if not body["lines"]["data"] and not body["total"]:
        raise _none(params)
    return cycles.as_upcoming(body)


def _made(world: World, params: Json) -> Row:
    details = params.get("subscription_details") or {}
    if params.get("subscription"):
        subscription = world.named("subscription", params["subscription"], "subscription")
        customer = world.get("customer", subscription.body["customer"])
        _add_items(world, customer, params)
        return _of_existing(world, subscription, params, details)
    if not params.get("customer"):
        raise errors.invalid(
            "You must specify one of `customer`, `subscription` and `schedule`.", "customer"
        )
    customer = world.named("customer", params["customer"], "customer")
    world.live_with(customer)
    _add_items(world, customer, params)
    if details.get("items"):
        return _of_new(world, customer, params, details)
    return _of_customer(world, customer, params)


def _add_items(world: World, customer: Row, params: Json) -> None:
    for index, sent in enumerate(params.get("invoice_items") or []):
        errors.unsupported(sent, ("invoiceitem",))
        known = {key: value for key, value in sent.items() if key != "unit_amount"}
        if "unit_amount" in sent:
            known["unit_amount_decimal"] = str(sent["unit_amount"])
        extras.new_item(world, customer, known, f"invoice_items[{index}]")


def _of_new(world: World, customer: Row, params: Json, details: Json) -> Row:
    """The first invoice of a subscription that nobody has started."""
    sent = {"customer": customer.id, "items": details["items"]}
    for name in ("billing_mode", "default_tax_rates", "proration_behavior", "trial_end"):
        if name in details:
            sent[name] = details[name]
    anchor = details.get("billing_cycle_anchor") or {}
    if anchor.get("timestamp"):
        sent["billing_cycle_anchor"] = anchor["timestamp"]
    if params.get("discounts"):
        sent["discounts"] = params["discounts"]
    subscription = subscribing.new_subscription(world, customer, sent)
    invoice = subscribing.first_invoice(world, subscription, sent)
    if invoice is None:
        raise _none(params)
    return invoice


def _of_customer(world: World, customer: Row, params: Json) -> Row:
    """What waits for the customer; with one live subscription, its next invoice."""
    running = [
        row
        for row in world.rows(
            "subscription", ["json_extract(body, '$.customer') = ?"], [customer.id]
        )
        if not standing.has_ended(row)
    ]
    if len(running) == 1:
        return _of_existing(world, running[0], params, {})
    currency = params.get("currency") or customer.body["currency"] or "usd"
    return drafting.draft(world, Bill(customer, currency, "manual"))


def _of_existing(world: World, subscription: Row, params: Json, details: Json) -> Row:
    if standing.has_ended(subscription):
        raise _none(params)
    if details.get("cancel_now"):
        return _of_end(world, subscription, details)
    sent = {key: value for key, value in details.items() if key != "start_date"}
    if params.get("discounts") is not None:
        sent["discounts"] = params["discounts"]
    before = standing.snapshot(subscription)
    changing.check(subscription, sent)
    changing.settle_settings(world, subscription, sent)
    changed = bool({"items", "trial_end", "billing_cycle_anchor"} & set(sent))
    invoice = changing.change_plan(world, subscription, sent) if changed else None
    if invoice is not None:
        return _dated(world, invoice, before, sent)
    return _next(world, subscription, params)


def _next(world: World, subscription: Row, params: Json) -> Row:
    body = subscription.body
    start, end = items.period_of(subscription)
    if body["cancel_at"] and body["cancel_at"] <= end:
        waiting = drafting.pending_items(
            world, world.get("customer", body["customer"]), body["currency"], subscription
        )
        if not waiting:
            raise _none(params)
        invoice = cycles.bill(world, subscription, "upcoming", [], start)
    else:
        if params.get("preview_mode") == "recurring":
            _forget_pending(world, subscription)
        world.at = end
        invoice = cycles.renew(world, subscription)
    invoice.body |= {"billing_reason": "upcoming", "next_payment_attempt": end + 3600}
    return invoice


def _forget_pending(world: World, subscription: Row) -> None:
    customer = world.get("customer", subscription.body["customer"])
    for row in drafting.pending_items(world, customer, subscription.body["currency"], subscription):
        world.delete(row)


def _dated(world: World, invoice: Row, before: Json, sent: Json) -> Row:
    """An invoice that a change would bring at once."""
    moment = sent.get("proration_date", world.now)
    parent = invoice.body["parent"]
    details = {**parent["subscription_details"], "subscription_proration_date": moment}
    invoice.body["parent"] = {**parent, "subscription_details": details}
    invoice.body["period_start"] = before["items"]["data"][0]["current_period_start"]
    return invoice


def _of_end(world: World, subscription: Row, details: Json) -> Row:
    if details.get("proration_behavior") in (None, "create_prorations", "always_invoice"):
        start, end = items.period_of(subscription)
        moment = details.get("proration_date", world.now)
        for item in subscription.body["items"]["data"]:
            stretch = proration.Stretch(start, moment, end)
            proration.credit(world, subscription, item, stretch)
    return cycles.bill(world, subscription, "upcoming", [])


def _none(params: Json) -> errors.ApiError:
    return errors.invalid(
        f"No upcoming invoices for customer: {params.get('customer') or 'of the subscription'}",
        code="invoice_upcoming_none",
    )
