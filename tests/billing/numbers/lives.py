"""Lives of subscriptions as events tell them, and what they are worth by a second reckoning."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from webapp.billing.models import BillingDiscount, Interval, SubscriptionPoint, SubscriptionStatus
from webapp.billing.pricing import COUNTED, Reduction, annual_amount
from webapp.core.db import db

BEGAN = datetime(2025, 1, 1, 9, 30, tzinfo=UTC)
DISCOUNTS = {
    "di_forever": Reduction(20, None, "forever", None),
    "di_third": Reduction(33.33, None, "repeating", BEGAN + timedelta(days=75)),
    "di_amount": Reduction(None, 500, "repeating", BEGAN + timedelta(days=40)),
    "di_once": Reduction(50, None, "once", None),
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class State:
    """What a subscription is at a moment, as an event's snapshot has it."""

    status: str = "incomplete"
    price: str = "price_month"
    quantity: int = 1
    paused: bool = False
    discounts: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def terms(self) -> tuple[int, Interval]:
        return (19000, Interval.YEAR) if self.price == "price_year" else (1900, Interval.MONTH)

    def annual(self, at: datetime) -> int:
        if self.paused or SubscriptionStatus(self.status) not in COUNTED:
            return 0
        amount, interval = self.terms
        reductions = [DISCOUNTS[each] for each in self.discounts]
        return annual_amount(amount, self.quantity, interval, 1, reductions, at)

    def replaced_by(self, after: "State") -> dict[str, Any]:
        """Return ``previous_attributes`` as Stripe words them."""
        raw: dict[str, Any] = {
            "status": self.status,
            "quantity": self.quantity,
            "items": {"data": [{"price": {"id": self.price}, "quantity": self.quantity}]},
            "pause_collection": {"behavior": "void"} if self.paused else None,
            "discounts": list(self.discounts),
        }
        changed = {
            "status": self.status != after.status,
            "quantity": self.quantity != after.quantity,
            "items": (self.price, self.quantity) != (after.price, after.quantity),
            "pause_collection": self.paused != after.paused,
            "discounts": self.discounts != after.discounts,
        }
        said = {name: raw[name] for name, differs in changed.items() if differs}
        return said or {"latest_invoice": "in_before"}


@dataclass
class Life:
    """One subscription: each ``step`` is an event, in the order in which they truly were."""

    subscription: str
    customer: str
    at: datetime = BEGAN
    state: State = field(default_factory=State)
    points: list[dict[str, Any]] = field(default_factory=list)
    told: list[tuple[datetime, State]] = field(default_factory=list)

    def step(self, wait: timedelta = timedelta(0), **changes: Any) -> "Life":
        self.at += wait
        after = replace(self.state, **changes)
        kind = "updated" if self.points else "created"
        if after.status == "canceled":
            kind = "deleted"
        previous = {} if kind == "created" else self.state.replaced_by(after)
        self.state = after
        self.told.append((self.at, after))
        self.points.append(self._point(kind, previous))
        return self

    def annual(self, at: datetime) -> int:
        """Return what a year of it was worth at a moment."""
        known = [state for moment, state in self.told if moment <= at]
        return known[-1].annual(at) if known else 0

    def _point(self, kind: str, previous: dict[str, Any]) -> dict[str, Any]:
        amount, interval = self.state.terms
        # Ids that say nothing of the order, as Stripe's.
        number = next(_numbers) * 7919 % 100_003
        return {
            "event_id": f"evt_{number:06}",
            "event_type": f"customer.subscription.{kind}",
            "stripe_subscription_id": self.subscription,
            "stripe_customer_id": self.customer,
            "at": self.at,
            "status": SubscriptionStatus(self.state.status),
            "stripe_price_id": self.state.price,
            "interval": interval,
            "interval_count": 1,
            "currency": "usd",
            "unit_amount": amount,
            "quantity": self.state.quantity,
            "paused": self.state.paused,
            "discounts": list(self.state.discounts),
            "cancellation_reason": self.state.reason,
            "trial_end": None,
            "previous": previous,
        }


def begin(number: int = 1, at: datetime = BEGAN, customer: str | None = None) -> Life:
    """Return a subscription that was made and paid at once, as Stripe tells it: in two events."""
    life = Life(f"sub_{number}", customer or f"cus_{number}", at)
    return life.step().step(status="active")


def tell(points: Iterable[dict[str, Any]]) -> None:
    db.session.execute(insert(SubscriptionPoint), list(points))


def tell_lives(lives: Sequence[Life]) -> None:
    tell(point for life in lives for point in life.points)


def make_discounts() -> None:
    db.session.add_all(
        BillingDiscount(
            id=name,
            coupon_id="coupon",
            percent_off=each.percent_off,
            amount_off=each.amount_off,
            duration=each.duration,
            start=BEGAN,
            end=each.end,
        )
        for name, each in DISCOUNTS.items()
    )
    db.session.flush()
