"""The end of a subscription: at once, at a period's end, or because nobody paid."""

from typing import Any

from sandbox.stripe.billing import drafting, invoicing, items, paying, proration
from sandbox.stripe.billing.drafting import Bill
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

DETAILS = ("comment", "feedback")


def end(
    world: World, subscription: Row, reason: str | None = None, details: Json | None = None
) -> None:
    """End it now; its invoices stay, but are collected no more."""
    kept = {**subscription.body["cancellation_details"], **(details or {})}
    incomplete = subscription.body["status"] == "incomplete"
    changes: Json = {
        "canceled_at": subscription.body["canceled_at"] or world.now,
        "cancellation_details": {**kept, "reason": kept["reason"] or reason},
        "ended_at": world.now,
        "pause_collection": None,
        "status": "canceled",
    }
    world.drop_timers(subscription.id)
    unpaid = subscription.private.pop("unpaid", [])
    world.change(subscription, changes)
    for id in unpaid:
        invoice = world.get("invoice", id)
        if incomplete and invoice.body["status"] == "open":
            invoicing.void(world, invoice)
        else:
            invoicing.stop_collecting(world, invoice)
    world.emit("customer.subscription.deleted", subscription)


def end_period(world: World, subscription: Row) -> None:
    """The last period is over; what was still to be billed is."""
    if drafting.pending_items(
        world,
        world.get("customer", subscription.body["customer"]),
        subscription.body["currency"],
        subscription,
    ):
        bill_pending(world, subscription)
    end(world, subscription, "cancellation_requested")


def cancel(
    world: World,
    subscription: Row,
    *,
    details: Json | None = None,
    prorate: bool = False,
    invoice_now: bool = False,
) -> None:
    """Cancel at once. `prorate` gives the unused time back, `invoice_now` bills what waits."""
    if prorate and subscription.body["status"] != "trialing":
        start, over = items.period_of(subscription)
        stretch = proration.Stretch(start, world.now, over)
        for item in subscription.body["items"]["data"]:
            proration.credit(world, subscription, item, stretch)
    if invoice_now:
        bill_pending(world, subscription)
    end(world, subscription, "cancellation_requested", details)


def bill_pending(world: World, subscription: Row) -> Row:
    """An invoice at once for what waits, and a try to collect it."""
    bill = Bill(
        world.get("customer", subscription.body["customer"]),
        subscription.body["currency"],
        "subscription_update",
        subscription,
    )
    invoice = drafting.draft(world, bill)
    world.save(subscription)
    world.emit("invoice.created", invoice)
    close_and_collect(world, invoice)
    return invoice


def close_and_collect(world: World, invoice: Row) -> None:
    invoicing.finalize(world, invoice)
    if invoice.body["status"] == "open" and invoice.body["collection_method"] != "send_invoice":
        paying.collect(world, invoice)


def details_of(sent: Json | None, current: Json) -> Json:
    """Cancellation details after some were sent; an unset one is None."""
    changed: dict[str, Any] = {key: value for key, value in (sent or {}).items() if key in DETAILS}
    return {**current, **changed}
