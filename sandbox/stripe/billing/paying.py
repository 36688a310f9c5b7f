"""Collecting an invoice: which method is charged, each try, and what it leads to."""

from sandbox.stripe import cards, errors
from sandbox.stripe.billing import invoicing, retries, settling, standing
from sandbox.stripe.resources import payment_intents, payment_methods
from sandbox.stripe.store import Row
from sandbox.stripe.timers import timer
from sandbox.stripe.world import World


def method_for(world: World, invoice: Row) -> Row | None:
    """The method Stripe would charge: the invoice's, the subscription's, the customer's."""
    subscription = standing.of_invoice(world, invoice)
    customer = world.find("customer", invoice.body["customer"])
    settings = customer.body.get("invoice_settings") if customer else None
    for id in (
        invoice.body["default_payment_method"],
        subscription and subscription.body["default_payment_method"],
        settings and settings["default_payment_method"],
    ):
        if id:
            return world.find("payment_method", id)
    return None


def collect(world: World, invoice: Row) -> None:
    """One scheduled try of an open invoice, with nobody there to ask."""
    method = method_for(world, invoice)
    if method is None:
        settling.note_failure(world, invoice, None, None, scheduled=True)
        return
    decline = _attempt(world, invoice, method, on_session=False)
    if decline is not None:
        settling.note_failure(world, invoice, decline, method, scheduled=True)
    else:
        _conclude(world, invoice, scheduled=True)


def pay(
    world: World, invoice: Row, payment_method: str | None = None, on_session: bool = False
) -> None:
    """Pay an invoice now. Raises the API's errors; a refused card's keeps what was written.

    On session the customer is there: a card that asks leaves the intent `requires_action` and
    raises nothing, and the answer on the bank's page ends it.
    """
    if invoice.body["status"] == "draft":
        invoicing.finalize(world, invoice)
        if invoice.body["status"] == "paid":
            return
    _check_payable(invoice)
    method = _chosen(world, invoice, payment_method)
    decline = _attempt(world, invoice, method, on_session)
    if decline is None:
        _conclude(world, invoice)
        return
    settling.note_failure(world, invoice, decline, method, scheduled=False)
    raise _refused(world, invoice, decline, method)


def _check_payable(invoice: Row) -> None:
    status = invoice.body["status"]
    if status == "paid":
        raise errors.invalid("Invoice is already paid")
    if status not in ("open", "uncollectible"):
        raise errors.invalid(
            f"You can only pay an open invoice. Invoice {invoice.id} is currently {status}."
        )


def _chosen(world: World, invoice: Row, id: str | None) -> Row:
    if id is None:
        method = method_for(world, invoice)
        if method is None:
            raise errors.invalid(
                "There is no `default_payment_method` set on this Customer or Invoice. Please set "
                "a default payment method on this Customer or Invoice, or provide one with "
                "`payment_method`.",
                "payment_method",
            )
        return method
    method = payment_methods.usable(world, id)
    customer = method.body["customer"]
    if customer not in (None, invoice.body["customer"]):
        raise errors.invalid(
            f"The payment method {method.id} belongs to another customer than the invoice.",
            "payment_method",
        )
    return method


def _attempt(world: World, invoice: Row, method: Row, on_session: bool) -> cards.Decline | None:
    """Charge the invoice's intent once; a refusal is returned."""
    intent = world.get("payment_intent", invoice.private["intent"])
    if on_session:
        return payment_intents.confirm(world, intent, method, invoice.body["hosted_invoice_url"])
    decline = payment_intents.confirm_alone(world, intent, method)
    if decline is cards.ASKED:
        payment_intents.wait_for_holder(world, intent)
    return decline


def _conclude(world: World, invoice: Row, scheduled: bool = False) -> None:
    """The invoice is paid if its intent is; it waits where a bank or the holder is asked."""
    intent = world.get("payment_intent", invoice.private["intent"])
    if intent.body["status"] == "succeeded":
        settling.mark_paid(world, invoice, intent, scheduled)
        payment_intents.book(world, intent)


def _refused(world: World, invoice: Row, decline: cards.Decline, method: Row) -> errors.ApiError:
    intent = world.get("payment_intent", invoice.private["intent"])
    if decline is cards.ASKED:
        return errors.ApiError(
            402,
            "This payment requires additional user action before it can be completed successfully. "
            "Payment can be completed using the PaymentIntent associated with this Invoice.",
            type="card_error",
            code="invoice_payment_intent_requires_action",
            keep=True,
            payment_intent=intent.body,
        )
    extra = {"payment_intent": intent.body, "payment_method": method.body}
    if intent.body["latest_charge"]:
        extra["charge"] = intent.body["latest_charge"]
    return payment_methods.card_error(decline, keep=True, **extra)


def intent_answered(world: World, intent: Row, decline: cards.Decline | None) -> None:
    """An invoice's intent was confirmed by itself, on the bank's page or through the API."""
    invoice = world.get("invoice", intent.private["invoice"])
    if invoice.body["status"] not in ("open", "uncollectible"):
        return
    if decline is not None:
        method = world.find("payment_method", intent.private.get("tried"))
        settling.note_failure(world, invoice, decline, method, scheduled=False)
    else:
        _conclude(world, invoice)


def pay_with(world: World, invoice: Row, intent: Row) -> None:
    """Let an intent pay that got the money before the invoice was made, as in Checkout."""
    settling.new_payment(world, invoice, intent)
    if intent.body["status"] == "succeeded":
        settling.mark_paid(world, invoice, intent)


def pay_elsewhere(world: World, invoice: Row) -> None:
    """The customer paid by cash or transfer, which the shop tells."""
    _check_payable(invoice)
    intent = world.find("payment_intent", invoice.private.get("intent"))
    if intent is not None:
        payment_intents.cancel_intent(world, intent, None)
    settling.mark_paid(world, invoice)


@timer("finalize")
def _finalize_due(world: World, id: str) -> None:
    invoice = world.find("invoice", id)
    if invoice is None or invoice.body.get("status") != "draft" or not invoice.body["auto_advance"]:
        return
    invoicing.finalize(world, invoice)
    if invoice.body["status"] == "open" and invoice.body["collection_method"] != "send_invoice":
        collect(world, invoice)


@timer("retry")
def _retry_due(world: World, id: str) -> None:
    invoice = world.find("invoice", id)
    if invoice is None or invoice.body.get("status") != "open" or not invoice.body["auto_advance"]:
        return
    method = method_for(world, invoice)
    if method is None or method.id != invoice.private.get("dead"):
        collect(world, invoice)
        return
    # The bank said never: the schedule goes on, but nothing is charged before a new card is there.
    previous = world.change(invoice, {"next_payment_attempt": settling.schedule(world, invoice)})
    world.emit("invoice.updated", invoice, previous)
    if not invoice.body["next_payment_attempt"]:
        retries.exhausted(world, invoice)
