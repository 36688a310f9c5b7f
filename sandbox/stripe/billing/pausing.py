"""Pausing a subscription itself (not only its collection), and letting it run again."""

from sandbox.stripe import errors
from sandbox.stripe.billing import cycles, drafting, ending, items, proration, standing
from sandbox.stripe.billing.drafting import Bill
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def pause(world: World, subscription: Row, params: Json) -> Row:
    """Stop billing until it is resumed; unused time is credited unless told otherwise."""
    status = subscription.body["status"]
    if status not in ("active", "past_due", "trialing", "unpaid"):
        raise errors.invalid(f"A subscription that is {status} cannot be paused.")
    bill_for = (params.get("bill_for") or {}).get("unused_time_from") or {"type": "now"}
    start, end = items.period_of(subscription)
    if bill_for["type"] != "none" and status != "trialing":
        moment = world.now if bill_for["type"] == "now" else start
        for item in subscription.body["items"]["data"]:
            proration.credit(world, subscription, item, proration.Stretch(start, moment, end))
    if params.get("invoicing_behavior") == "invoice":
        ending.bill_pending(world, subscription)
    for what in ("cycle", "upcoming", "trial_will_end"):
        world.drop_timer(subscription.id, what)
    details = cycles.paused_details(world, "pause_requested")
    previous = world.change(subscription, {"status": "paused", "status_details": details})
    world.emit("customer.subscription.paused", subscription)
    world.emit(standing.UPDATED, subscription, previous)
    return subscription


def resume(world: World, subscription: Row, params: Json | None = None) -> Row:
    """Let a paused subscription run again: a new period begins now, and is paid for.

    With `billing_cycle_anchor` unchanged the running period is charged for what is left of it.
    """
    params = params or {}
    if subscription.body["status"] != "paused":
        raise errors.invalid(
            f"Subscription {subscription.id} is not paused: only a paused one can be resumed."
        )
    anchor = (params.get("billing_cycle_anchor") or {}).get("type", "now")
    if anchor == "now":
        subscription.body["billing_cycle_anchor"] = world.now
    cycle = cycles.cycle_of(subscription)
    end = cycle.end_after(world.now)
    cycles.start_period(world, subscription, world.now, end)
    invoice = _bill(world, subscription, cycle.start_before(end), params)
    world.save(subscription)
    waits = params.get("payment_behavior") == "resume_on_payment_success"
    if invoice is None:
        standing.resumed(world, subscription)
        return subscription
    world.emit("invoice.created", invoice)
    if waits and invoice.body["amount_due"]:
        subscription.private["resuming"] = invoice.id
        world.save(subscription)
    else:
        standing.resumed(world, subscription)
    ending.close_and_collect(world, invoice)
    return subscription


def _bill(world: World, subscription: Row, start: int, params: Json) -> Row | None:
    _, end = items.period_of(subscription)
    if start == world.now:
        wanted = cycles.period_lines(world, subscription)
        return cycles.bill(world, subscription, "subscription_update", wanted)
    behavior = params.get("proration_behavior", "create_prorations")
    if behavior == "none":
        return None
    stretch = proration.Stretch(start, params.get("proration_date", world.now), end)
    for item in subscription.body["items"]["data"]:
        proration.debit(world, subscription, item, stretch)
    if behavior == "create_prorations":
        return None
    customer = world.get("customer", subscription.body["customer"])
    currency = subscription.body["currency"]
    return drafting.draft(world, Bill(customer, currency, "subscription_update", subscription))
