"""Members who subscribe at the Stripe sandbox, and what two months of it bring about.

A tenth of them pays late: their card dies before the first renewal, and they leave another two
days later. Another tenth dies with the second renewal and stays unpaid. One in five begins with a
trial. Everything happened before now, so that no event is from the future.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
import stripe
from flask import Flask

from bench.ground import STRIPE_KEY, Ground, run_command
from sandbox.processes import SandboxError

if TYPE_CHECKING:
    from stripe.params import SubscriptionCreateParams

DAY = 86_400
# Two months and an hour, in which drafts of invoices are finalised, and some.
AGO = 62 * DAY + 4 * 3600
# The last renewals were tried, and once again where they failed.
END = 62.1
PLAN = ["create", "pro", "--name", "Pro", "--monthly", "19", "--feature", "pro_room=The Pro room"]
GOOD, DYING = "pm_card_visa", "pm_card_chargeCustomerFail"


@dataclass(slots=True)
class Member:
    """A subscriber whose ``number`` is their fate; the others are Stripe's ids."""

    number: int
    customer: str
    subscription: str = ""

    @property
    def has_trial(self) -> bool:
        return self.number % 10 in (4, 5)

    @property
    def pays_late(self) -> bool:
        return self.number % 10 == 8

    @property
    def stops_paying(self) -> bool:
        return self.number % 10 == 9


class History:
    """Moves the sandbox's clock and does there what members would."""

    def __init__(self, ground: Ground) -> None:
        self.url = ground.stripe_url
        self.v1 = stripe.StripeClient(STRIPE_KEY, base_addresses={"api": self.url}).v1
        self.began = int(time.time()) - AGO

    def go_to(self, day: float) -> None:
        """Let the sandbox live through the days up to ``day``."""
        self._control("clock", {"now": self.began + int(day * DAY)})

    def finish(self) -> None:
        """Let it live through the rest, and come back to the present."""
        self.go_to(END)
        self._control("clock", {"reset": True})

    def _control(self, path: str, body: dict[str, Any]) -> None:
        answer = requests.post(f"{self.url}/_sandbox/{path}", json=body, timeout=600)
        if not answer.ok:
            raise SandboxError(f"The Stripe sandbox refused {path}: {answer.text[:300]}")

    def subscribe(self, members: Iterable[Member], price: str) -> None:
        for member in members:
            self.leave_card(member, GOOD)
            wanted: SubscriptionCreateParams = {
                "customer": member.customer,
                "items": [{"price": price}],
            }
            if member.has_trial:
                wanted["trial_period_days"] = 14
            member.subscription = self.v1.subscriptions.create(wanted).id

    def leave_card(self, member: Member, card: str) -> None:
        """Make another card the one that is charged."""
        method = self.v1.payment_methods.attach(card, {"customer": member.customer})
        self.v1.customers.update(
            member.customer, {"invoice_settings": {"default_payment_method": method.id}}
        )

    def pay_what_is_open(self, member: Member) -> None:
        for invoice in self.v1.invoices.list({"customer": member.customer, "status": "open"}).data:
            self.v1.invoices.pay(invoice.id)

    def live(self, members: Sequence[Member]) -> None:
        """The first month's end with its failures and recoveries; then other cards die."""
        late = [member for member in members if member.pays_late]
        for member in late:
            self.leave_card(member, DYING)
        self.go_to(33)
        for member in late:
            self.leave_card(member, GOOD)
            self.pay_what_is_open(member)
        for member in members:
            if member.stops_paying:
                self.leave_card(member, DYING)

    def events(self) -> list[dict[str, Any]]:
        """Return every event as it would be sent, the oldest first."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"has_more": True}
        while page["has_more"]:
            after = {"starting_after": found[-1]["id"]} if found else {}
            page = requests.get(
                f"{self.url}/v1/events",
                params={"limit": 100, **after},
                auth=(STRIPE_KEY, ""),
                timeout=60,
            ).json()
            found += page["data"]
        return found[::-1]


def offer_plan(app: Flask) -> str:
    """Sell a plan by the month; returns the price's id at Stripe."""
    from sqlalchemy import select

    from webapp.billing.models import PlanPrice
    from webapp.billing.queries.plans import get_plan
    from webapp.billing.services.mirroring import sync_plan
    from webapp.core.db import db

    run_command(app, "plan", *PLAN, "--publish")
    with app.app_context():
        sync_plan(get_plan("pro").id)
        db.session.commit()
        price = db.session.scalars(select(PlanPrice.stripe_price_id)).one()
    if not price:
        raise SandboxError("The plan couldn't be written to the Stripe sandbox.")
    return price


def enrol(app: Flask, numbers: Iterable[int], name: str) -> list[Member]:
    """Return new members whom Stripe knows as customers and who subscribe to nothing yet."""
    from webapp.accounts.models import Member as AccountsMember
    from webapp.accounts.models import User
    from webapp.billing.services.customers import customer_of, ensure_at_stripe
    from webapp.core import clock
    from webapp.core.db import db

    members = []
    with app.app_context():
        for place, number in enumerate(numbers):
            email = f"{name}{place}@bench.example"
            user = User(email=email, email_verified_at=clock.now())
            db.session.add(user)
            db.session.flush()
            db.session.add(AccountsMember(user_id=user.id, name=name.title()))
            customer = customer_of(user.id, email)
            db.session.commit()
            members.append(Member(number, ensure_at_stripe(customer.id, name.title())))
    return members
