"""When a failed payment is tried again, and what follows when no try is left."""

from sandbox.stripe import cards
from sandbox.stripe.billing import ending, settings, standing
from sandbox.stripe.billing.periods import DAY
from sandbox.stripe.store import Row
from sandbox.stripe.world import World

# https://docs.stripe.com/billing/revenue-recovery/smart-retries#non-retryable-decline-codes
HARD = frozenset(
    {
        "authentication_required",
        "fraudulent",
        "highest_risk_level",
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "transaction_not_allowed",
    }
)


def is_hard(decline: cards.Decline | None) -> bool:
    """Whether the bank will never approve this card again."""
    return decline is not None and decline.decline_code in HARD


def is_tried_again(world: World, invoice: Row) -> bool:
    """Whether the account's schedule counts for an invoice."""
    body = invoice.body
    if body["collection_method"] != "charge_automatically" or not body["auto_advance"]:
        return False
    subscription = standing.of_invoice(world, invoice)
    return subscription is None or subscription.body["status"] not in ("incomplete", "canceled")


def next_try(world: World, invoice: Row) -> int | None:
    """The schedule's next moment, counted from the first try; None when it is exhausted."""
    first = int(invoice.private.get("first_try", world.now))
    for day in settings.current(world.machine.store).retry_days:
        due = first + int(day * DAY)
        if due > world.now:
            return due
    return None


def exhausted(world: World, invoice: Row) -> None:
    """No try is left: the account's setting says what becomes of the subscription."""
    subscription = standing.of_invoice(world, invoice)
    if subscription is None or subscription.body["status"] != "past_due":
        return
    wanted = settings.current(world.machine.store).when_exhausted
    if wanted == "cancel":
        ending.end(world, subscription, "payment_failed")
    elif wanted == "unpaid":
        standing.change(world, subscription, status="unpaid")
