"""Where a subscription stands: how its invoices' fate changes its status."""

import copy
from typing import Any

from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

ENDED = ("canceled", "incomplete_expired")
UPDATED = "customer.subscription.updated"


def of_invoice(world: World, invoice: Row) -> Row | None:
    """The subscription that an invoice bills."""
    parent = invoice.body["parent"]
    return (
        world.find("subscription", parent["subscription_details"]["subscription"])
        if parent
        else None
    )


def has_ended(subscription: Row) -> bool:
    return subscription.body["status"] in ENDED


def snapshot(subscription: Row) -> Json:
    return copy.deepcopy(subscription.body)


def announce(world: World, subscription: Row, before: Json) -> None:
    """Save, and tell what differs from a snapshot, if anything does."""
    world.save(subscription)
    previous: Json = {}
    for key, old in before.items():
        if subscription.body.get(key) != old:
            previous[key] = _changed_items(old) if key == "items" else old
    if previous:
        world.emit(UPDATED, subscription, previous)


def _changed_items(before: Json) -> Json:
    return {"data": before["data"]}


def change(world: World, subscription: Row, **changes: Any) -> None:
    """Set attributes, save, and tell of it."""
    previous = world.change(subscription, changes)
    if previous:
        world.emit(UPDATED, subscription, previous)


def note_finalized(subscription: Row, invoice: Row) -> None:
    """The caller saves the subscription."""
    subscription.private["latest_finalized"] = invoice.id


def invoice_closed(world: World, invoice: Row) -> None:
    """An invoice was paid, written off or voided: its subscription may stand well again."""
    subscription = of_invoice(world, invoice)
    if subscription is None:
        return
    _forget(subscription, invoice)
    if has_ended(subscription):
        world.save(subscription)
        return
    status, latest = subscription.body["status"], subscription.private.get("latest_finalized")
    voided = invoice.body["status"] == "void"
    if status == "incomplete" and voided:
        expire(world, subscription)
    elif status == "incomplete" and subscription.private.get("first") == invoice.id:
        world.drop_timer(subscription.id, "incomplete_expire")
        change(world, subscription, status=_started(subscription))
    elif status == "paused" and subscription.private.get("resuming") == invoice.id and not voided:
        resumed(world, subscription)
    elif status in ("past_due", "unpaid") and invoice.id == latest:
        change(world, subscription, status="active")
    else:
        world.save(subscription)


def _started(subscription: Row) -> str:
    return "trialing" if subscription.private.get("trial_pending") else "active"


def _forget(subscription: Row, invoice: Row) -> None:
    unpaid = subscription.private.get("unpaid", [])
    subscription.private["unpaid"] = [id for id in unpaid if id != invoice.id]


def resumed(world: World, subscription: Row) -> None:
    """A paused subscription runs again."""
    subscription.private.pop("resuming", None)
    previous = world.change(subscription, {"status": "active", "status_details": None})
    world.emit("customer.subscription.resumed", subscription)
    world.emit(UPDATED, subscription, previous)


def invoice_failed(world: World, invoice: Row) -> None:
    """A payment failed, or waits for the customer."""
    subscription = of_invoice(world, invoice)
    if subscription is None:
        return
    latest = subscription.private.get("latest_finalized")
    if subscription.body["status"] in ("active", "trialing") and invoice.id == latest:
        change(world, subscription, status="past_due")


def expire(world: World, subscription: Row) -> None:
    """A first payment never came."""
    world.drop_timers(subscription.id)
    change(world, subscription, status="incomplete_expired", ended_at=world.now)


def set_delinquent(world: World, customer: Row, delinquent: bool) -> None:
    if customer.deleted or customer.body["delinquent"] == delinquent:
        return
    previous = world.change(customer, {"delinquent": delinquent})
    world.emit("customer.updated", customer, previous)
