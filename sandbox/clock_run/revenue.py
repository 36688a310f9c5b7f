"""What comes in every month, reckoned from Stripe's list of events by nobody's code but this.

From https://docs.stripe.com/billing/subscriptions/analytics: active and past due subscriptions that
are collected, at the price of a month, less discounts that go on.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from sandbox.clock_run.stripe import Json, Stripe, id_of

COUNTED = ("active", "past_due")


@dataclass(frozen=True, slots=True)
class Moment:
    """What a subscription was from an event on."""

    at: int
    status: str
    is_paused: bool
    unit_amount: int
    quantity: int
    months: int
    discounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Discount:
    percent_off: float | None
    amount_off: int | None
    duration: str
    end: int | None


@dataclass(slots=True)
class Revenue:
    """Every subscription's life, and what was taken off."""

    lives: dict[str, list[Moment]] = field(default_factory=lambda: defaultdict(list))
    discounts: dict[str, Discount] = field(default_factory=dict)
    #: Every discount as it was when it was given, with its coupon.
    given: dict[str, Json] = field(default_factory=dict)

    def at(self, moment: datetime) -> int:
        """The monthly recurring revenue at a moment, in cents, rounded half up."""
        seconds = int(moment.timestamp())
        total = sum((self._worth(life, seconds) for life in self.lives.values()), Fraction())
        return int(total + Fraction(1, 2))

    def count_at(self, moment: datetime) -> int:
        """How many subscriptions make it up."""
        seconds = int(moment.timestamp())
        return sum(self._worth(life, seconds) > 0 for life in self.lives.values())

    def _worth(self, life: list[Moment], seconds: int) -> Fraction:
        index = bisect_right(life, seconds, key=lambda each: each.at)
        if index == 0:
            return Fraction()
        now = life[index - 1]
        if now.status not in COUNTED or now.is_paused:
            return Fraction()
        period = now.unit_amount * now.quantity
        for id in now.discounts:
            period -= self._taken_off(id, period, seconds)
        return Fraction(max(period, 0), now.months)

    def _taken_off(self, id: str, period: int, seconds: int) -> int:
        discount = self.discounts[id]
        if discount.duration == "once" or (discount.end and discount.end <= seconds):
            return 0
        if discount.percent_off is None:
            return min(discount.amount_off or 0, period)
        return int(Fraction(str(discount.percent_off)) * period / 100 + Fraction(1, 2))


def read_revenue(stripe: Stripe, events: Iterable[Json]) -> Revenue:
    """Read all events there ever were, oldest first."""
    revenue = Revenue()
    coupons: dict[str, Json] = {}
    for event in events:
        about = event["data"]["object"]
        if about["object"] == "subscription":
            revenue.lives[about["id"]].append(_moment(event["created"], about))
        elif about["object"] == "discount":
            coupon = about["source"]["coupon"]
            if coupon not in coupons:
                coupons[coupon] = stripe.get(f"coupons/{coupon}")
            revenue.discounts[about["id"]] = _discount(about, coupons[coupon])
            if event["type"] == "customer.discount.created":
                revenue.given[about["id"]] = about | {"coupon": coupons[coupon]}
    return revenue


def _moment(at: int, body: Json) -> Moment:
    item = body["items"]["data"][0]
    every = item["price"]["recurring"]
    months = {"month": 1, "year": 12}[every["interval"]] * every["interval_count"]
    return Moment(
        at=at,
        status=body["status"],
        is_paused=body["pause_collection"] is not None,
        unit_amount=item["price"]["unit_amount"],
        quantity=item["quantity"],
        months=months,
        discounts=tuple(id_of(each) for each in body["discounts"]),
    )


def _discount(body: Json, coupon: Json) -> Discount:
    return Discount(coupon["percent_off"], coupon["amount_off"], coupon["duration"], body["end"])
