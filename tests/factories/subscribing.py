"""Members who subscribe at Stripe's stand-in, by the API, for tests of what we make of it."""

from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select

from tests.factories.people import make_user
from tests.factories.sales import StripeDesk, deliver
from webapp.accounts.models import User
from webapp.billing.models import (
    BillingCustomer,
    Entitlement,
    Invoice,
    Plan,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.services.customers import customer_of, ensure_at_stripe
from webapp.core.db import db
from webapp.core.state import current_fork

GOOD_CARD = "4242424242424242"
EMPTY_CARD = "4000000000000341"  # attaches, and fails whenever it is charged


@dataclass
class Subscriber:
    """A member, their customer at Stripe, and what they subscribe to there."""

    desk: StripeDesk
    user: User
    customer: BillingCustomer
    plan: Plan

    @property
    def stripe_id(self) -> str:
        return str(self.customer.stripe_customer_id)

    def give_card(self, number: str = GOOD_CARD) -> str:
        """Attach a card and make it the one for invoices, as the portal would."""
        v1 = self.desk.client.v1
        card: Any = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}
        method = v1.payment_methods.create({"type": "card", "card": card})
        v1.payment_methods.attach(method.id, {"customer": self.stripe_id})
        settings: Any = {"default_payment_method": method.id}
        v1.customers.update(self.stripe_id, {"invoice_settings": settings})
        return method.id

    def subscribe(self, interval: str = "month", **params: Any) -> str:
        """Subscribe to the plan at Stripe; returns the id. We haven't heard of it yet."""
        price = next(p for p in self.plan.prices if p.interval == interval)
        asked: Any = {
            "customer": self.stripe_id,
            "items": [{"price": price.stripe_price_id}],
            "metadata": {"fork": current_fork().name},
            **params,
        }
        return self.desk.client.v1.subscriptions.create(asked).id

    @property
    def row(self) -> Subscription:
        db.session.expire_all()
        mine = select(Subscription).where(Subscription.customer_id == self.customer.id)
        return db.session.scalars(mine.order_by(Subscription.id).limit(1)).one()

    def status(self) -> SubscriptionStatus:
        return self.row.status

    @property
    def entitlement(self) -> Entitlement | None:
        db.session.expire_all()
        return db.session.get(Entitlement, self.user.id)

    def is_entitled(self) -> bool:
        return self.entitlement is not None

    def is_owing(self) -> bool:
        return self.entitlement is not None and self.entitlement.owing

    @property
    def invoices(self) -> list[Invoice]:
        db.session.expire_all()
        mine = select(Invoice).where(Invoice.customer_id == self.customer.id)
        return list(db.session.scalars(mine.order_by(Invoice.id)))


def put_at_stripe(desk: StripeDesk, plan: Plan) -> Plan:
    """Make the plan's product and prices at Stripe, as the job does that mirrors plans."""
    v1 = desk.client.v1
    product = v1.products.create({"name": plan.name})
    plan.stripe_product_id = product.id
    for price in plan.prices:
        recurring: Any = {"interval": price.interval.value}
        made = v1.prices.create(
            {
                "product": product.id,
                "unit_amount": price.unit_amount,
                "currency": price.currency,
                "recurring": recurring,
            }
        )
        price.stripe_price_id = made.id
    db.session.commit()
    return plan


def make_subscriber(
    desk: StripeDesk, plan: Plan, email: str = "alice@example.com", card: str | None = GOOD_CARD
) -> Subscriber:
    """Return a member who is a customer at Stripe, with a card unless it is None."""
    user = make_user(email)
    customer = customer_of(user.id, email)
    db.session.commit()
    ensure_at_stripe(customer.id, "")
    subscriber = Subscriber(desk, user, customer, plan)
    if card:
        subscriber.give_card(card)
    return subscriber


def carry_over(desk: StripeDesk, client: FlaskClient, known: set[str] | None = None) -> list[str]:
    """Deliver all events not in ``known`` to the webhook, oldest first; returns their types."""
    known = known if known is not None else set()
    told = []
    for event in all_events(desk):
        if event["id"] not in known:
            known.add(event["id"])
            assert deliver(client, event).status_code == 200
            told.append(event["type"])
    return told


def all_events(desk: StripeDesk) -> list[dict[str, Any]]:
    """Return every event of the account, oldest first."""
    page = desk.client.v1.events.list({"limit": 100})
    return [event.to_dict(for_json=True) for event in page.auto_paging_iter()][::-1]
