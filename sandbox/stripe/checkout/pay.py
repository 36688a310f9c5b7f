"""Completing a session: the same steps for the page, the control address and a robot."""

from dataclasses import dataclass, field

from sandbox.stripe import cards, errors, money
from sandbox.stripe.checkout import completion, payment
from sandbox.stripe.checkout.buyer import Buyer
from sandbox.stripe.checkout.buyer_faults import faults_of
from sandbox.stripe.checkout.choices import choose
from sandbox.stripe.resources import payment_intents, setup_intents
from sandbox.stripe.store import Row
from sandbox.stripe.world import World


@dataclass(frozen=True, slots=True)
class Completed:
    """Paid, or the debit is on its way, or the card is kept."""


@dataclass(frozen=True, slots=True)
class Declined:
    decline: cards.Decline


@dataclass(frozen=True, slots=True)
class NeedsBank:
    """The holder has to answer on the bank's page first."""

    intent: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """A sentence for each field that is wrong."""

    faults: dict[str, str] = field(default_factory=dict)


Outcome = Completed | Declined | NeedsBank | Invalid


def pay(world: World, session: Row, buyer: Buyer) -> Outcome:
    """Try to complete an open session with what the buyer typed."""
    faults = choose(world, session, buyer)
    faults |= faults_of(world, session, buyer)
    if faults:
        return Invalid(faults)
    total = session.body["amount_total"] or 0
    least = money.MINIMUM.get(session.body["currency"] or "", 1)
    if 0 < total < least:
        return Invalid({"promotion_code": "The total is below what can be charged."})
    session.private["buyer"] = completion.kept(buyer)
    if not payment.needs_method(session):
        completion.complete_free(world, session)
        return Completed()
    fault = payment.card_fault(world, buyer)
    if fault:
        return Declined(fault)
    if total:
        intent = payment.intent_of(world, session, buyer)
        confirm = payment_intents.confirm
    else:
        intent = payment.setup_of(world, session)
        confirm = setup_intents.confirm
    method = payment.new_method(world, session, buyer)
    world.save(session)
    decline = confirm(world, intent, method, session.body["url"])
    return _finish(world, session, intent, decline)


def answer_bank(world: World, session: Row, intent: Row, agreed: bool) -> Outcome:
    """Go on with a session after the bank's page; the intent pays or sets up."""
    if intent.kind == setup_intents.KIND:
        decline = setup_intents.answer_bank(world, intent, agreed)
    else:
        decline = payment_intents.answer_bank(world, intent, agreed)
    return _finish(world, session, intent, decline)


def _finish(world: World, session: Row, intent: Row, decline: cards.Decline | None) -> Outcome:
    if decline:
        return Declined(decline)
    if intent.body["status"] == "requires_action":
        return NeedsBank(intent.id)
    if intent.kind == setup_intents.KIND:
        completion.complete_saved(world, session, intent)
    else:
        completion.complete_paid(world, session, intent)
    return Completed()


def settle(world: World, session: Row, succeeded: bool) -> None:
    """The bank's late answer to a debit: the session's async event follows the payment's."""
    intent = world.find("payment_intent", session.body["payment_intent"])
    if intent is None or intent.body["status"] != "processing":
        raise errors.invalid(f"Checkout Session {session.id} is waiting for no bank.")
    world.drop_timers(session.id)
    payment_intents.settle(world, intent, succeeded)
    if succeeded:
        world.change(session, {"payment_status": "paid"})
        world.emit("checkout.session.async_payment_succeeded", session)
        payment_intents.book(world, intent)
    else:
        world.emit("checkout.session.async_payment_failed", session)
