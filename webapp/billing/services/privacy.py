"""What billing knows of a person, erased down to what the books need.

Forgetting has a part at Stripe: what is subscribed to ends there, and the customer is deleted with
their cards. It comes before the rows are emptied, outside every transaction, as often as need be.
"""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update

from webapp.billing.models import (
    ENDED,
    BillingCheckout,
    BillingCustomer,
    BillingOperation,
    Cancellation,
    CardLink,
    DunningCase,
    Entitlement,
    Invoice,
    OperationKind,
    OperationState,
    PaymentAttempt,
    Subscription,
    SubscriptionPoint,
)
from webapp.billing.queries.home import find_customer, find_live_subscription
from webapp.billing.services.operations import ask
from webapp.billing.services.sync import Fact, Ref, RefKind, sync_now
from webapp.billing.services.sync.points import told_before
from webapp.core import clock
from webapp.core.audit import Actor
from webapp.core.db import db
from webapp.core.privacy import Person, Tally, among, run
from webapp.core.state import current_fork
from webapp.payments import gateway
from webapp.payments.errors import NoSuchStripeObject
from webapp.payments.scrubbing import strip_events

BOOKS = "What was charged, when and for which plan: kept by tax law, without saying for whom."


@dataclass(frozen=True, slots=True)
class Trail:
    """What leads from a person to what others noted: subjects of ours, references of Stripe's."""

    customers: tuple[int, ...] = ()
    subscriptions: tuple[int, ...] = ()
    invoices: tuple[int, ...] = ()
    subjects: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def leave_with_account(user_id: uuid.UUID, by: Actor) -> None:
    """Let what is subscribed to end with what was paid for, as its account is closed; flushes."""
    customer = find_customer(user_id)
    subscription = find_live_subscription(customer.id) if customer else None
    if customer is None or subscription is None or subscription.is_set_to_end:
        return
    why = {"comment": "The account was closed."}
    ask(OperationKind.CANCEL_AT_PERIOD_END, customer, subscription.stripe_id, why, actor=by)


def end_at_stripe(user_id: uuid.UUID) -> None:
    """Have Stripe end what is subscribed to and forget the customer; commits around its calls.

    May be repeated; raises StripeUnavailable when it has to be.
    """
    customer = find_customer(user_id)
    if customer is None or customer.stripe_customer_id is None or customer.deleted_at is not None:
        db.session.rollback()
        return
    customer_id, stripe_id = customer.id, customer.stripe_customer_id
    fork = current_fork().name
    of_customer = Subscription.customer_id == customer_id, Subscription.status.not_in(ENDED)
    live = list(db.session.scalars(select(Subscription.stripe_id).where(*of_customer)))
    db.session.commit()
    for each in live:
        why = {"cancellation_details": {"comment": "The account was erased."}}
        # Test data that was deleted, or of an account that was left: there is nothing to forget.
        with suppress(NoSuchStripeObject):
            gateway.cancel_subscription(each, why, f"{fork}:erase:{each}")
    with suppress(NoSuchStripeObject):
        gateway.delete_customer(stripe_id, f"{fork}:erase:{stripe_id}")
    subscriptions = (Ref(RefKind.SUBSCRIPTION, each) for each in live)
    with suppress(NoSuchStripeObject):
        sync_now(Ref(RefKind.CUSTOMER, stripe_id), *subscriptions)
    row = db.session.get_one(BillingCustomer, customer_id)
    row.deleted_at = row.deleted_at or clock.now()
    db.session.commit()


def follow(person: Person) -> Trail:
    """Lock the person's customer, and return what leads from it to other traces."""
    customer = db.session.scalar(
        select(BillingCustomer)
        .where(BillingCustomer.user_id == person.user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if customer is None:
        return Trail()
    mine = customer.id
    subscriptions = _pairs(Subscription.id, Subscription.stripe_id, Subscription.customer_id, mine)
    invoices = _pairs(Invoice.id, Invoice.stripe_id, Invoice.customer_id, mine)
    cases = db.session.scalars(select(DunningCase.id).where(DunningCase.customer_id == mine)).all()
    opened = select(BillingCheckout.stripe_session_id).where(BillingCheckout.customer_id == mine)
    intents = select(Invoice.payment_intent).where(Invoice.customer_id == mine)
    theirs = [
        customer.stripe_customer_id,
        customer.payment_method_id,
        *(reference for _, reference in subscriptions + invoices),
        *db.session.scalars(opened),
        *db.session.scalars(intents),
    ]
    return Trail(
        customers=(mine,),
        subscriptions=tuple(id_ for id_, _ in subscriptions),
        invoices=tuple(id_ for id_, _ in invoices),
        subjects=(
            f"billing_customer:{mine}",
            *(f"subscription:{id_}" for id_, _ in subscriptions),
            *(f"invoice:{id_}" for id_, _ in invoices),
            *(f"case:{id_}" for id_ in cases),
        ),
        references=tuple(sorted({reference for reference in theirs if reference})),
    )


def erase(person: Person, trail: Trail, tally: Tally) -> None:
    """Take the person out of customers, invoices and whatever they wrote; flushes."""
    entitled = delete(Entitlement).where(Entitlement.user_id == person.user_id)
    tally.erased("entitlement", run(entitled))
    links = delete(CardLink).where(among(CardLink.customer_id, trail.customers))
    tally.erased("card_link", run(links))
    _empty_operations(trail, tally)
    _empty_points(trail, tally)
    _empty(trail, tally)
    for model, column in (
        (Subscription, Subscription.customer_id),
        (DunningCase, DunningCase.customer_id),
        (PaymentAttempt, PaymentAttempt.invoice_id),
    ):
        whose = trail.invoices if model is PaymentAttempt else trail.customers
        kept = select(func.count()).select_from(model).where(among(column, whose))
        tally.kept(model.__tablename__, db.session.scalar(kept) or 0, BOOKS)


def _empty_operations(trail: Trail, tally: Tally) -> None:
    """What was asked of Stripe stays without its words; what still waits is of no use any more."""
    asked = update(BillingOperation).where(among(BillingOperation.customer_id, trail.customers))
    waiting = asked.where(BillingOperation.state == OperationState.REQUESTED)
    run(waiting.values(state=OperationState.REFUSED, finished_at=clock.now()))
    changed = run(asked.values(params={}, error=None))
    tally.anonymised("billing_operation", changed, "What was asked of Stripe, and when.")


def _empty_points(trail: Trail, tally: Tally) -> None:
    """Of what a change replaced, nothing stays but what figures are made of."""
    mine = among(SubscriptionPoint.stripe_subscription_id, trail.references)
    for point in db.session.scalars(select(SubscriptionPoint).where(mine)):
        point.previous = told_before(point.previous)
    db.session.flush()
    kept = select(func.count()).select_from(SubscriptionPoint).where(mine)
    tally.kept("subscription_point", db.session.scalar(kept) or 0, BOOKS)


def strip_late_events(facts: Sequence[Fact]) -> None:
    """Cut down what Stripe tells of people only after they were erased; flushes."""
    named = {fact.id: fact.customer for fact in facts if fact.customer}
    erased = select(BillingCustomer.stripe_customer_id).where(
        BillingCustomer.stripe_customer_id.in_(set(named.values())), BillingCustomer.is_erased
    )
    gone = set(db.session.scalars(erased)) if named else set()
    if gone:
        strip_events([id_ for id_, owner in named.items() if owner in gone])


def _empty(trail: Trail, tally: Tally) -> None:
    nobody: dict[str, Any] = {
        **dict.fromkeys(("user_id", "payment_method_id", "card_brand", "card_last4")),
        **dict.fromkeys(("card_exp_month", "card_exp_year")),
        "email": "",
        "deleted_at": func.coalesce(BillingCustomer.deleted_at, clock.now()),
    }
    customers = update(BillingCustomer).where(among(BillingCustomer.id, trail.customers))
    tally.anonymised("billing_customer", run(customers.values(nobody)), BOOKS)
    # Stripe's pages of an invoice say for whom it is, to whoever has the address.
    invoices = update(Invoice).where(among(Invoice.id, trail.invoices))
    doors = {"hosted_invoice_url": None, "invoice_pdf": None}
    tally.anonymised("invoice", run(invoices.values(doors)), BOOKS)
    cards = update(PaymentAttempt).where(among(PaymentAttempt.invoice_id, trail.invoices))
    card = dict.fromkeys(("card_brand", "card_last4", "payment_method_id"))
    tally.anonymised("payment_attempt", run(cards.values(card)), BOOKS)
    pages = update(BillingCheckout).where(among(BillingCheckout.customer_id, trail.customers))
    tally.anonymised("billing_checkout", run(pages.values(url=None)), BOOKS)
    left = update(Cancellation).where(among(Cancellation.subscription_id, trail.subscriptions))
    kept = "Why people left, by category."
    tally.anonymised("billing_cancellation", run(left.values(comment="")), kept)


def _pairs(id_: Any, reference: Any, owner: Any, customer: int) -> list[tuple[int, str]]:
    rows = db.session.execute(select(id_, reference).where(owner == customer).order_by(id_))
    return [(row[0], row[1]) for row in rows]
