"""An invoice's life: finalised, voided, written off, and seen before it exists."""

from sandbox.stripe import errors, money
from sandbox.stripe.billing import balances, previewing, pricing, settling, standing
from sandbox.stripe.resources import payment_intents
from sandbox.stripe.store import Json, Row
from sandbox.stripe.timers import timer
from sandbox.stripe.world import World

_DESCRIPTIONS = {"subscription_create": "Subscription creation", "manual": None}


def finalize(
    world: World, invoice: Row, paid: Row | None = None, *, spare_balance: bool = False
) -> None:
    """Close a draft: it gets its number and the customer's balance, and becomes open or paid.

    `paid` is an intent that already has the money. `spare_balance`: what is to be paid is not
    asked of the customer's credit either.
    """
    if invoice.body["status"] != "draft":
        raise errors.invalid(
            f"Invoice {invoice.id} is already finalized: only a draft can be, and this one is "
            f"{invoice.body['status']}."
        )
    customer = world.get("customer", invoice.body["customer"])
    world.drop_timer(invoice.id, "finalize")
    number = _number(customer)
    settle = _spare_balance if spare_balance and invoice.body["total"] > 0 else _settle_balance
    ending = settle(world, invoice, customer)
    changes: Json = {
        "automatically_finalizes_at": None,
        "effective_at": world.now,
        "ending_balance": ending,
        "hosted_invoice_url": f"{world.base_url}/c/invoice/{invoice.id}",
        "invoice_pdf": f"{world.base_url}/c/invoice/{invoice.id}/pdf",
        "next_payment_attempt": None,
        "number": invoice.body["number"] or number,
        "status": "open",
        "status_transitions": {**invoice.body["status_transitions"], "finalized_at": world.now},
    }
    world.change(invoice, changes)
    subscription = standing.of_invoice(world, invoice)
    if subscription is not None:
        standing.note_finalized(subscription, invoice)
        world.save(subscription)
    world.emit("invoice.finalized", invoice)
    if invoice.body["amount_due"] == 0:
        settling.mark_paid(world, invoice)
    elif paid is None:
        _open_payment(world, invoice)


def _number(customer: Row) -> str:
    """The customer's prefix and a running number; the caller saves the customer."""
    sequence = customer.body["next_invoice_sequence"]
    customer.body["next_invoice_sequence"] = sequence + 1
    return f"{customer.body['invoice_prefix']}-{sequence:04d}"


def _settle_balance(world: World, invoice: Row, customer: Row) -> int:
    """Use the customer's balance for the invoice; returns what is left of it."""
    body = invoice.body
    balance = customer.body["balance"]
    pricing.settle(body, balance)
    ending = min(body["total"] + balance, 0)
    if 0 < body["amount_due"] < money.MINIMUM.get(body["currency"], 1):
        # Too little for a card: it is asked for together with the next invoice.
        ending = body["amount_due"]
        body |= {"amount_due": 0, "amount_remaining": 0}
    if customer.body["currency"] is None:
        customer.body["currency"] = body["currency"]
    world.save(customer)
    if ending != balance:
        type = "invoice_too_small" if ending > 0 else "applied_to_invoice"
        balances.move(world, customer, ending - balance, body["currency"], type, invoice.id)
    return int(ending)


def _spare_balance(world: World, invoice: Row, customer: Row) -> int:
    balance = int(customer.body["balance"])
    pricing.settle(invoice.body, 0)
    invoice.body["starting_balance"] = balance
    world.save(customer)
    return balance


def _give_balance_back(world: World, invoice: Row) -> None:
    """What of the customer's balance went into an invoice is theirs again, or owed again."""
    customer = world.find("customer", invoice.body["customer"])
    used = invoice.body["starting_balance"] - invoice.body["ending_balance"]
    if not used or customer is None or customer.deleted:
        return
    previous = {"balance": customer.body["balance"]}
    balances.move(
        world, customer, used, invoice.body["currency"], "unapplied_from_invoice", invoice.id
    )
    world.emit("customer.updated", customer, previous)


def _open_payment(world: World, invoice: Row) -> None:
    reason = invoice.body["billing_reason"]
    sent: Json = {
        "customer": invoice.body["customer"],
        "description": _DESCRIPTIONS.get(reason, "Subscription update"),
        "receipt_email": None,
    }
    if reason == "subscription_create":
        sent["setup_future_usage"] = "off_session"
    intent = payment_intents.new_intent(
        world, invoice.body["amount_due"], invoice.body["currency"], sent, ["card"]
    )
    settling.new_payment(world, invoice, intent)
    if invoice.body["collection_method"] == "send_invoice":
        world.emit("invoice.sent", invoice)
        if invoice.body["due_date"]:
            world.set_timer(invoice.id, "overdue", invoice.body["due_date"])


def void(world: World, invoice: Row) -> None:
    """Take an open invoice back, as if it had never been sent."""
    _require(invoice, "void", ("open", "uncollectible"))
    _stop_payment(world, invoice)
    transitions = {**invoice.body["status_transitions"], "voided_at": world.now}
    changes = {
        "auto_advance": False,
        "next_payment_attempt": None,
        "status": "void",
        "status_transitions": transitions,
    }
    world.change(invoice, changes)
    _give_balance_back(world, invoice)
    world.emit("invoice.voided", invoice)
    standing.invoice_closed(world, invoice)


def write_off(world: World, invoice: Row, reason: str = "user_forgiven") -> None:
    """Give up on an open invoice; it can still be paid."""
    _require(invoice, "mark as uncollectible", ("open",))
    world.drop_timers(invoice.id)
    transitions = {**invoice.body["status_transitions"], "marked_uncollectible_at": world.now}
    changes = {
        "auto_advance": False,
        "next_payment_attempt": None,
        "status": "uncollectible",
        "status_details": {"uncollectible": {"reason": reason}},
        "status_transitions": transitions,
    }
    world.change(invoice, changes)
    world.emit("invoice.marked_uncollectible", invoice)
    standing.invoice_closed(world, invoice)


def _require(invoice: Row, verb: str, statuses: tuple[str, ...]) -> None:
    if invoice.body["status"] not in statuses:
        raise errors.invalid(
            f"You can only {verb} an invoice that is {' or '.join(statuses)}. This one is "
            f"{invoice.body['status']}."
        )


def _stop_payment(world: World, invoice: Row) -> None:
    world.drop_timers(invoice.id)
    intent = world.find("payment_intent", invoice.private.get("intent"))
    if intent is not None and intent.body["status"] not in ("succeeded", "canceled"):
        payment_intents.cancel_intent(world, intent, "void_invoice")
    payment = world.find("invoice_payment", invoice.private.get("payment"))
    if payment is not None:
        transitions = {**payment.body["status_transitions"], "canceled_at": world.now}
        world.change(payment, {"status": "canceled", "status_transitions": transitions})


def stop_collecting(world: World, invoice: Row) -> None:
    """No more tries of themselves, as for the invoices of a subscription that ended."""
    if invoice.body["status"] not in ("draft", "open"):
        return
    world.drop_timers(invoice.id)
    changes = {
        "auto_advance": False,
        "automatically_finalizes_at": None,
        "next_payment_attempt": None,
    }
    previous = world.change(invoice, changes)
    if previous:
        world.emit("invoice.updated", invoice, previous)


@timer("overdue")
def _overdue(world: World, id: str) -> None:
    invoice = world.find("invoice", id)
    if invoice is None or invoice.body.get("status") != "open":
        return
    world.emit("invoice.overdue", invoice)
    standing.invoice_failed(world, invoice)


def preview(world: World, params: Json) -> Json:
    """The invoice that the parameters of `POST /v1/invoices/create_preview` would lead to."""
    return previewing.preview(world, params)
