"""How an invoice's payment went, written where everybody looks for it."""

from sandbox.stripe import cards
from sandbox.stripe.billing import retries, standing
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def new_payment(world: World, invoice: Row, intent: Row) -> Row:
    """Join an intent to the invoice that it is to pay."""
    body: Json = {
        "amount_paid": None,
        "amount_requested": intent.body["amount"],
        "currency": invoice.body["currency"],
        "invoice": invoice.id,
        "is_default": True,
        "payment": {"payment_intent": intent.id, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    row = world.add("invoice_payment", body, {"lane": invoice.private.get("lane")})
    intent.private["invoice"] = invoice.id
    world.save(intent)
    invoice.private |= {"intent": intent.id, "payment": row.id}
    world.save(invoice)
    return row


def mark_paid(
    world: World, invoice: Row, intent: Row | None = None, scheduled: bool = False
) -> None:
    """The money is here, or none was needed, or it came by another way (no intent)."""
    before = world.find("invoice_payment", invoice.private.get("payment"))
    amount = invoice.body["amount_due"]
    changes: Json = {
        "amount_paid": amount,
        "amount_remaining": 0,
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status": "paid",
        "status_transitions": {**invoice.body["status_transitions"], "paid_at": world.now},
    }
    if intent is not None:
        changes["attempt_count"] = _tries(invoice, scheduled)
    world.drop_timers(invoice.id)
    previous = world.change(invoice, changes)
    if intent is not None:
        world.emit("invoice.updated", invoice, previous)
    if before is not None and intent is not None:
        transitions = {**before.body["status_transitions"], "paid_at": world.now}
        paid = {"amount_paid": amount, "status": "paid", "status_transitions": transitions}
        world.change(before, paid)
        world.emit("invoice_payment.paid", before)
    world.emit("invoice.paid", invoice)
    world.emit("invoice.payment_succeeded", invoice)
    standing.invoice_closed(world, invoice)
    customer = world.find("customer", invoice.body["customer"])
    if customer is not None and amount:
        standing.set_delinquent(world, customer, False)


def _tries(invoice: Row, scheduled: bool) -> int:
    """Any try counts as the first one; after it only scheduled tries are counted."""
    counts = scheduled or not invoice.body["attempted"]
    return int(invoice.body["attempt_count"]) + counts


def note_failure(
    world: World, invoice: Row, decline: cards.Decline | None, method: Row | None, scheduled: bool
) -> None:
    """A try failed, or there was nothing to charge (no method)."""
    first = not invoice.body["attempted"]
    if first:
        invoice.private["first_try"] = world.now
    dead = method if retries.is_hard(decline) else None
    invoice.private["dead"] = dead.id if dead else None
    changes: Json = {"attempted": True}
    if first or scheduled:
        changes["attempt_count"] = _tries(invoice, scheduled)
        changes["next_payment_attempt"] = schedule(world, invoice)
    previous = world.change(invoice, changes)
    world.emit("invoice.updated", invoice, previous)
    if decline is not None and decline.decline_code == cards.ASKED.decline_code:
        world.emit("invoice.payment_action_required", invoice)
    world.emit("invoice.payment_failed", invoice)
    customer = world.find("customer", invoice.body["customer"])
    if customer is not None:
        standing.set_delinquent(world, customer, True)
    standing.invoice_failed(world, invoice)
    if scheduled and not invoice.body["next_payment_attempt"]:
        retries.exhausted(world, invoice)


def schedule(world: World, invoice: Row) -> int | None:
    """Set the timer of the next try; returns its time."""
    world.drop_timer(invoice.id, "retry")
    due = retries.next_try(world, invoice) if retries.is_tried_again(world, invoice) else None
    if due is not None:
        world.set_timer(invoice.id, "retry", due)
    return due
