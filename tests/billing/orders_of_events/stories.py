"""Chapters of a subscriber's life at Stripe, and what Stripe answered after each page."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from flask.testing import FlaskClient
from sqlalchemy import select

from jobs.payments import drain_events
from tests.factories.billing import make_plan
from tests.factories.people import make_user
from tests.factories.sales import StripeDesk, deliver
from tests.factories.subscribing import all_events, put_at_stripe
from webapp.billing.models import BillingCheckout, BillingCustomer, Interval
from webapp.billing.services.checkout import Subscriber, open_checkout
from webapp.billing.services.sync import RefKind
from webapp.core import clock
from webapp.core.db import db
from webapp.payments import gateway
from webapp.payments.services import BILLED, PAID

SETTLING = timedelta(hours=2)
Answers = dict[tuple[str, str], Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A moment of a chapter: what happened by then, and what Stripe answers from then on."""

    at: datetime
    events: tuple[dict[str, Any], ...]
    answers: Answers


@dataclass(slots=True)
class Teller:
    """Lets things happen at Stripe; what is not replayed is heard in its order."""

    client: FlaskClient
    desk: StripeDesk
    price_id: int
    user_id: Any
    now: datetime
    _known: set[str] = field(default_factory=set)

    @classmethod
    @contextmanager
    def begin(cls, client: FlaskClient, desk: StripeDesk) -> Iterator[Self]:
        # Ahead of whatever time the test itself takes.
        now = datetime.now(UTC) + timedelta(hours=1)
        desk.control("clock", now=now.timestamp())
        plan = put_at_stripe(desk, make_plan(features={"reports": "Reports"}))
        user = make_user("alice@example.com")
        price = next(price for price in plan.prices if price.interval is Interval.MONTH)
        yield cls(client, desk, price.id, user.id, now)

    def sign_up(self) -> list[Page]:
        with clock.frozen(self.now):
            open_checkout(Subscriber(self.user_id, "alice@example.com", "Alice"), self.price_id)
        db.session.commit()
        checkout = db.session.scalars(select(BillingCheckout)).one()
        opened = self._page()
        self.desk.control(f"sessions/{checkout.stripe_session_id}/pay", email="alice@example.com")
        return [opened, self._page()]

    def renew(self) -> list[Page]:
        """The month is over, and an hour later its invoice is paid."""
        return [self._go_to(self._period_end()), self._pass(SETTLING)]

    def fail(self, code: str = "insufficient_funds") -> list[Page]:
        """The month is over, the card is refused, and once more a day later."""
        self._set_card(code)
        pages = [self._go_to(self._period_end()), self._pass(SETTLING)]
        return [*pages, self._pass(timedelta(days=1))]

    def recover(self) -> list[Page]:
        """The card works again, and the next try gets through."""
        self._set_card(None)
        return [self._page(), self._pass(timedelta(days=3))]

    def hear(self, pages: list[Page]) -> None:
        """Handle a chapter as it was told."""
        self.inform(pages)
        with clock.frozen(self.now):
            drain_events()

    def inform(self, pages: list[Page]) -> None:
        """Put a chapter's events into the inbox."""
        with clock.frozen(self.now):
            for page in pages:
                for event in page.events:
                    assert deliver(self.client, event).status_code == 200

    # Time and what is seen of it

    def _period_end(self) -> datetime:
        body = self.desk.client.v1.subscriptions.list({"status": "all"}).data[0]
        end = body["items"].data[0].current_period_end
        return datetime.fromtimestamp(end, UTC) + timedelta(seconds=1)

    def _set_card(self, code: str | None) -> None:
        customer = db.session.scalars(select(BillingCustomer.stripe_customer_id)).one()
        self.desk.control("cards", customer=customer, decline_code=code)

    def _pass(self, span: timedelta) -> Page:
        return self._go_to(self.now + span)

    def _go_to(self, moment: datetime) -> Page:
        self.now = moment
        self.desk.control("clock", now=moment.timestamp())
        return self._page()

    def _page(self) -> Page:
        """What was told since the last page, and how everything stands now."""
        new = [event for event in all_events(self.desk) if event["id"] not in self._known]
        self._known |= {event["id"] for event in new}
        wanted = [event for event in new if event["type"] in BILLED | PAID]
        return Page(self.now + timedelta(seconds=5), tuple(wanted), self._answers())

    def _answers(self) -> Answers:
        """Everything that syncing may ask for, as Stripe has it now."""
        answers: Answers = {}
        for customer in gateway_ids(self.desk, "customers"):
            answers[(RefKind.CUSTOMER, customer)] = gateway.get_customer(customer)
        for id_ in gateway_ids(self.desk, "subscriptions"):
            answers[(RefKind.SUBSCRIPTION, id_)] = gateway.get_subscription(id_)
        for id_ in gateway_ids(self.desk, "invoices"):
            invoice = gateway.get_invoice(id_)
            answers[(RefKind.INVOICE, id_)] = invoice
            if invoice.payment_intent:
                charges = gateway.list_charges(invoice.payment_intent)
                answers[("charges", invoice.payment_intent)] = charges
        for checkout in db.session.scalars(select(BillingCheckout.stripe_session_id)):
            answers[(RefKind.SESSION, str(checkout))] = gateway.get_session(str(checkout))
        db.session.commit()
        return answers


def gateway_ids(desk: StripeDesk, kind: str) -> list[str]:
    params: Any = {"limit": 100} | ({"status": "all"} if kind == "subscriptions" else {})
    return [each.id for each in getattr(desk.client.v1, kind).list(params).data]
