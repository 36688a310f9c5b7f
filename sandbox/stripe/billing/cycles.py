"""A subscription's calendar: renewals, the end of a trial, and what is told beforehand."""

from sandbox.stripe.billing import (
    drafting,
    ending,
    invoicing,
    items,
    lines,
    offers,
    proration,
    settings,
    standing,
)
from sandbox.stripe.billing.drafting import Bill
from sandbox.stripe.billing.lines import Line
from sandbox.stripe.billing.periods import DAY, Cycle
from sandbox.stripe.store import Json, Row
from sandbox.stripe.timers import timer
from sandbox.stripe.world import World

_TRIAL_NOTICE = 3 * DAY


def cycle_of(subscription: Row) -> Cycle:
    price = subscription.body["items"]["data"][0]["price"]
    return Cycle.of(subscription.body["billing_cycle_anchor"], price["recurring"])


def start_period(world: World, subscription: Row, start: int, end: int) -> None:
    """Let a period begin; the caller saves the subscription."""
    items.set_period(subscription.body["items"]["data"], start, end)
    set_timers(world, subscription)


def set_timers(world: World, subscription: Row) -> None:
    """What is due at the end of the current period, and before it."""
    _, end = items.period_of(subscription)
    id = subscription.id
    world.set_timer(id, "cycle", end)
    notice = end - settings.current(world.machine.store).upcoming_days * DAY
    if notice > world.now:
        world.set_timer(id, "upcoming", notice)
    else:
        world.drop_timer(id, "upcoming")
    cancel_at = subscription.body["cancel_at"]
    if cancel_at and cancel_at < end:
        world.set_timer(id, "cancel", cancel_at)
    else:
        world.drop_timer(id, "cancel")


def tell_trial_end(world: World, subscription: Row) -> None:
    """Three days before a trial ends, or at once where it is shorter than that."""
    due = subscription.body["trial_end"] - _TRIAL_NOTICE
    if due > world.now:
        world.set_timer(subscription.id, "trial_will_end", due)
    else:
        world.drop_timer(subscription.id, "trial_will_end")
        world.emit("customer.subscription.trial_will_end", subscription)


def period_lines(world: World, subscription: Row) -> list[Line]:
    return [
        lines.period_line(world, subscription, item) for item in subscription.body["items"]["data"]
    ]


def bill(
    world: World, subscription: Row, reason: str, wanted: list[Line], since: int | None = None
) -> Row:
    """A draft for a subscription, with what waits for it; the caller saves the subscription."""
    period = (since if since is not None else world.now, world.now)
    customer = world.get("customer", subscription.body["customer"])
    order = Bill(customer, subscription.body["currency"], reason, subscription, wanted, period)
    invoice = drafting.draft(world, order)
    proration.note_billed(subscription, invoice)
    drafting.spend_once(world, subscription, invoice)
    return invoice


def renew(world: World, subscription: Row) -> Row:
    """Begin the next period and draft its invoice; the caller tells of both."""
    since, start = items.period_of(subscription)
    if subscription.body["status"] == "trialing":
        subscription.body["status"] = "active"
    start_period(world, subscription, start, cycle_of(subscription).end_after(start))
    wanted = period_lines(world, subscription)
    return bill(world, subscription, "subscription_cycle", wanted, since)


@timer("cycle")
def _period_over(world: World, id: str) -> None:
    subscription = world.find("subscription", id)
    if subscription is None or standing.has_ended(subscription):
        return
    body = subscription.body
    if body["cancel_at_period_end"] or (body["cancel_at"] and body["cancel_at"] <= world.now):
        ending.end_period(world, subscription)
    elif body["status"] == "trialing" and _lacks_method(world, subscription):
        _end_trial_unpaid(world, subscription)
    elif body["status"] not in ("paused", "incomplete"):
        _renew(world, subscription)


def _renew(world: World, subscription: Row) -> None:
    before = standing.snapshot(subscription)
    invoice = renew(world, subscription)
    world.save(subscription)
    world.emit("invoice.created", invoice)
    standing.announce(world, subscription, before)
    send_on(world, subscription, invoice)


def send_on(world: World, subscription: Row, invoice: Row) -> None:
    """What becomes of a renewal's draft: it waits an hour, or it goes as the pause says."""
    paused = subscription.body["pause_collection"]
    behavior = paused and paused["behavior"]
    if subscription.body["status"] == "unpaid" or behavior == "keep_as_draft":
        drafting.hold(world, invoice)
    elif behavior:
        _close_paused(world, invoice, behavior)
    else:
        drafting.finalize_later(world, invoice)


def _close_paused(world: World, invoice: Row, behavior: str) -> None:
    invoicing.finalize(world, invoice, spare_balance=True)
    if invoice.body["status"] != "open":
        return
    if behavior == "void":
        invoicing.void(world, invoice)
    else:
        invoicing.write_off(world, invoice, "subscription_paused")


def _lacks_method(world: World, subscription: Row) -> bool:
    if subscription.body["collection_method"] == "send_invoice" or _behavior(subscription) == (
        "create_invoice"
    ):
        return False
    customer = world.get("customer", subscription.body["customer"])
    default = customer.body["invoice_settings"]["default_payment_method"]
    return not (subscription.body["default_payment_method"] or default)


def _behavior(subscription: Row) -> str:
    return str(subscription.body["trial_settings"]["end_behavior"]["missing_payment_method"])


def _end_trial_unpaid(world: World, subscription: Row) -> None:
    """The trial is over and there is nothing to charge: as the trial's settings say."""
    if _behavior(subscription) == "cancel":
        ending.end(world, subscription)
        return
    world.drop_timers(subscription.id)
    previous = world.change(
        subscription,
        {"status": "paused", "status_details": paused_details(world, _TRIAL_OVER)},
    )
    world.emit("customer.subscription.paused", subscription)
    world.emit(standing.UPDATED, subscription, previous)


_TRIAL_OVER = "trial_end_without_payment_method"


def paused_details(world: World, why: str) -> Json:
    return {
        "paused": {
            "subscription": {"type": why},
            "transitioned_at": world.now,
            "type": "subscription",
        }
    }


@timer("upcoming")
def _tell_upcoming(world: World, id: str) -> None:
    """An invoice that is yet to be and to be paid, for whoever wants to add to it."""
    subscription = world.find("subscription", id)
    if subscription is None or standing.has_ended(subscription):
        return
    body = subscription.body
    # Nothing is billed after the end, and nothing collected in a pause.
    if body["cancel_at_period_end"] or body["cancel_at"] or body["pause_collection"]:
        return
    coming = next_invoice(world, subscription)
    row = Row(world.account, "invoice", coming["id"], coming, {"lane": id})
    world.emit("invoice.upcoming", row)


def next_invoice(world: World, subscription: Row) -> Json:
    """The next renewal's invoice as it looks today; nothing of it is kept."""
    with world.rehearsal():
        copy = world.get("subscription", subscription.id)
        world.at = items.period_of(copy)[1]
        invoice = renew(world, copy)
    return as_upcoming(invoice.body)


def as_upcoming(body: Json) -> Json:
    """A draft as Stripe shows an invoice that does not exist."""
    id = "upcoming_" + body["id"]
    shown = [{**line, "invoice": id} for line in body["lines"]["data"]]
    listed = {**body["lines"], "data": shown, "url": f"/v1/invoices/{id}/lines"}
    return {**body, "id": id, "lines": listed}


@timer("trial_will_end")
def _trial_will_end(world: World, id: str) -> None:
    subscription = world.find("subscription", id)
    if subscription is not None and subscription.body["status"] == "trialing":
        world.emit("customer.subscription.trial_will_end", subscription)


@timer("cancel")
def _cancel_due(world: World, id: str) -> None:
    subscription = world.find("subscription", id)
    if subscription is not None and not standing.has_ended(subscription):
        ending.end_period(world, subscription)


@timer("incomplete_expire")
def _never_paid(world: World, id: str) -> None:
    """A first payment may take 23 hours."""
    subscription = world.find("subscription", id)
    if subscription is None or subscription.body["status"] != "incomplete":
        return
    for invoice_id in list(subscription.private.get("unpaid", [])):
        invoice = world.get("invoice", invoice_id)
        if invoice.body["status"] == "open":
            invoicing.void(world, invoice)


@timer("resume_collection")
def _resume_collection(world: World, id: str) -> None:
    subscription = world.find("subscription", id)
    if subscription is not None and subscription.body["pause_collection"]:
        standing.change(world, subscription, pause_collection=None)


def end_discounts(world: World, subscription: Row, kept: list[str]) -> None:
    """End the discounts that are not kept; the caller saves the subscription."""
    for id in subscription.body["discounts"]:
        row = world.find("discount", id)
        if id not in kept and row is not None:
            offers.end(world, row)
    subscription.body["discounts"] = kept
