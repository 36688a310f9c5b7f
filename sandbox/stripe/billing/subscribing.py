"""Starting a subscription, its first invoice and its first payment; ending and resuming it."""

from sandbox.stripe import errors
from sandbox.stripe.billing import (
    changing,
    cycles,
    ending,
    extras,
    invoicing,
    items,
    lines,
    offers,
    pausing,
    paying,
    starts,
    subscription_body,
)
from sandbox.stripe.billing.lines import Line
from sandbox.stripe.billing.periods import HOUR
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_FIRST_PAYMENT = 23 * HOUR


def create(world: World, params: Json, paid: Row | None = None) -> Row:
    """Start a subscription from the parameters of `POST /v1/subscriptions`; raises ApiError.

    `paid` is a PaymentIntent that already has the first invoice's money (or waits for a bank),
    as Checkout's does: nothing is charged then.
    """
    subscription_body.check(params)
    customer = world.named("customer", params.get("customer", ""), "customer")
    world.live_with(customer)
    subscription = new_subscription(world, customer, params)
    invoice = first_invoice(world, subscription, params)
    if paid is None and invoice is not None and invoice.body["amount_due"]:
        _check_payable(subscription, customer, params)
    _settle_status(subscription, invoice)
    world.save(subscription)
    world.emit("customer.subscription.created", subscription)
    if subscription.body["status"] == "trialing":
        cycles.tell_trial_end(world, subscription)
    if invoice is not None:
        world.emit("invoice.created", invoice)
        _collect_first(world, invoice, params, paid)
    if subscription.body["status"] == "incomplete":
        world.set_timer(subscription.id, "incomplete_expire", world.now + _FIRST_PAYMENT)
    return subscription


def new_subscription(world: World, customer: Row, params: Json) -> Row:
    """Keep a subscription with its items in their first period; nothing is billed yet."""
    sent = params.get("items")
    if not sent:
        raise errors.invalid("Missing required param: items.", "items", "parameter_missing")
    body = subscription_body.new_body(world, customer, params)
    subscription = world.add("subscription", body)
    subscription.private["lane"] = subscription.id
    chosen = [
        items.new_item(world, subscription.id, item, f"items[{index}]")
        for index, item in enumerate(sent)
    ]
    items.check_together(chosen)
    body = subscription.body
    body["currency"] = chosen[0]["price"]["currency"]
    body["items"] = items.as_list(chosen, subscription.id)
    starts.begin(world, subscription, params)
    holder = {"customer": customer.id, "subscription": subscription.id}
    whole = sum(items.amount_of(item) for item in chosen)
    body["discounts"] = offers.attach(
        world, params.get("discounts") or [], holder, body["currency"], whole
    )
    starts.set_end(world, subscription, params)
    cycles.set_timers(world, subscription)
    world.save(subscription)
    return subscription


def first_invoice(world: World, subscription: Row, params: Json) -> Row | None:
    """The draft of what is due at the start; None where a partial period is not billed."""
    added = params.get("add_invoice_items") or []
    extras.add(world, subscription, added)
    wanted = _first_lines(world, subscription, params)
    if wanted is None and not added:
        return None
    invoice = cycles.bill(world, subscription, "subscription_create", wanted or [])
    subscription.private["first"] = invoice.id
    return invoice


def _first_lines(world: World, subscription: Row, params: Json) -> list[Line] | None:
    chosen = subscription.body["items"]["data"]
    if subscription.body["trial_end"]:
        return [lines.trial_line(world, subscription, item) for item in chosen]
    share = starts.share_of_first(subscription)
    if share < 1 and params.get("proration_behavior") == "none":
        return None
    return [lines.period_line(world, subscription, item, share=share) for item in chosen]


def _settle_status(subscription: Row, invoice: Row | None) -> None:
    """The status a subscription is born with; the caller saves."""
    body = subscription.body
    due = invoice is not None and invoice.body["amount_due"] > 0
    if body["trial_end"]:
        body["status"] = "trialing"
    elif due and body["collection_method"] == "charge_automatically":
        body["status"] = "incomplete"
    else:
        body["status"] = "active"


def _check_payable(subscription: Row, customer: Row, params: Json) -> None:
    """Stripe starts nothing that it could not charge, unless told that somebody will pay."""
    body = subscription.body
    if body["collection_method"] == "send_invoice":
        if body["days_until_due"] is None:
            raise errors.invalid(
                "You must pass `days_until_due` when `collection_method` is `send_invoice`.",
                "days_until_due",
                "parameter_missing",
            )
        return
    method = body["default_payment_method"]
    method = method or customer.body["invoice_settings"]["default_payment_method"]
    if method or params.get("payment_behavior") == "default_incomplete":
        return
    raise errors.invalid(
        "This customer has no attached payment source or default payment method. Please consider "
        "adding a default payment method. For more information, visit "
        "https://stripe.com/docs/billing/subscriptions/payment-methods-setting.",
        code="resource_missing",
    )


def _collect_first(world: World, invoice: Row, params: Json, paid: Row | None) -> None:
    behavior = params.get("payment_behavior", "allow_incomplete")
    if behavior == "pending_if_incomplete":
        raise errors.invalid(
            "`pending_if_incomplete` only works for updates of a subscription.", "payment_behavior"
        )
    invoicing.finalize(world, invoice, paid)
    if invoice.body["status"] != "open" or invoice.body["collection_method"] == "send_invoice":
        return
    if paid is not None:
        paying.pay_with(world, invoice, paid)
    elif behavior == "allow_incomplete":
        paying.collect(world, invoice)
    elif behavior == "error_if_incomplete":
        _insist(world, invoice)
    else:
        _prepare(world, invoice)


def _insist(world: World, invoice: Row) -> None:
    """Take the money or let nothing of it have happened."""
    try:
        paying.pay(world, invoice)
    except errors.ApiError as error:
        error.keep = False
        raise


def _prepare(world: World, invoice: Row) -> None:
    """Leave the first payment to the customer, who confirms the invoice's intent."""
    method = paying.method_for(world, invoice)
    intent = world.get("payment_intent", invoice.private["intent"])
    if method is not None:
        changes = {"payment_method": method.id, "status": "requires_confirmation"}
        world.change(intent, changes)


def update(world: World, subscription: Row, params: Json) -> Row:
    """Change it as `POST /v1/subscriptions/{id}` with these parameters does; raises ApiError."""
    return changing.update(world, subscription, params)


def resume(world: World, subscription: Row, params: Json | None = None) -> Row:
    """Let a paused subscription run again, as `POST /v1/subscriptions/{id}/resume` does."""
    return pausing.resume(world, subscription, params)


def cancel(
    world: World,
    subscription: Row,
    *,
    details: Json | None = None,
    prorate: bool = False,
    invoice_now: bool = False,
) -> None:
    """End it at once. `prorate` gives the unused time back, `invoice_now` bills what waits."""
    ending.cancel(world, subscription, details=details, prorate=prorate, invoice_now=invoice_now)
