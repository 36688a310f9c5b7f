"""Plans as they are offered: what is for sale now, at which price, with what in it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from webapp.billing.errors import NoSuchPlan
from webapp.billing.models import (
    ENDED,
    Interval,
    Plan,
    PlanPrice,
    PlanState,
    Subscription,
)
from webapp.core.db import db

MONTHS = 12


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan at one price. ``saved`` is what a year of it saves against twelve months."""

    plan_id: int
    slug: str
    name: str
    description: str
    features: tuple[str, ...]
    limits: tuple[tuple[str, int | None], ...]
    trial_days: int
    price_id: int
    interval: Interval
    currency: str
    unit_amount: int
    saved: int = 0

    @property
    def monthly_amount(self) -> int:
        """What a month comes to, rounded up: nobody is told less than they pay."""
        return self.unit_amount if self.interval is Interval.MONTH else -(-self.unit_amount // 12)


@dataclass(frozen=True, slots=True)
class PriceList:
    """What the pricing page shows for one rhythm; ``intervals`` are those anything is sold in."""

    interval: Interval
    intervals: tuple[Interval, ...]
    offers: tuple[Offer, ...]

    @property
    def most_saved_percent(self) -> int:
        """The best that paying by the year saves, in whole percent."""
        shares = [
            offer.saved * 100 // (offer.unit_amount + offer.saved)
            for offer in self.offers
            if offer.saved
        ]
        return max(shares, default=0)


def list_offers(currency: str, interval: Interval | None = None) -> PriceList:
    """Return what is for sale in a currency, cheapest first.

    ``interval`` None, or one in which nothing is sold, is the first there is.
    """
    plans = _published()
    common = Counter(key for plan in plans for key in plan.features)
    sold = {
        each: [offer for plan in plans if (offer := _offer(plan, each, currency, common))]
        for each in Interval
    }
    intervals = tuple(each for each in Interval if sold[each])
    chosen = interval if interval in intervals else next(iter(intervals), Interval.MONTH)
    return PriceList(chosen, intervals, tuple(sold[chosen]))


def best_saving(currency: str) -> int:
    """Return the best that paying by the year saves, in whole percent."""
    return list_offers(currency, Interval.YEAR).most_saved_percent


def find_offer(price_id: int) -> Offer | None:
    """Return a price that can be bought now; None for one that can't."""
    price = db.session.get(PlanPrice, price_id)
    if price is None or price.retired_at is not None:
        return None
    offered = list_offers(price.currency, price.interval).offers
    return next((offer for offer in offered if offer.price_id == price_id), None)


def find_plan(slug: str) -> Plan | None:
    return db.session.scalar(select(Plan).where(Plan.slug == slug))


def get_plan(slug: str) -> Plan:
    """Return the plan with this name. Raises NoSuchPlan."""
    plan = find_plan(slug)
    if plan is None:
        raise NoSuchPlan(f"There is no plan named {slug}.")
    return plan


def list_plans() -> list[tuple[Plan, int]]:
    """Return all plans, the cheapest first, each with how many subscribe to it now."""
    counts = (
        select(PlanPrice.plan_id, func.count().label("subscribers"))
        .join(Subscription, Subscription.plan_price_id == PlanPrice.id)
        .where(Subscription.status.not_in(ENDED))
        .group_by(PlanPrice.plan_id)
        .subquery()
    )
    rows = db.session.execute(
        select(Plan, func.coalesce(counts.c.subscribers, 0))
        .outerjoin(counts, counts.c.plan_id == Plan.id)
        .options(selectinload(Plan.prices))
        .order_by(Plan.position, Plan.id)
    )
    return [(plan, int(subscribers)) for plan, subscribers in rows]


def _published() -> Sequence[Plan]:
    return db.session.scalars(
        select(Plan)
        .where(Plan.state == PlanState.PUBLISHED)
        .options(selectinload(Plan.prices))
        .order_by(Plan.position, Plan.id)
    ).all()


def _offer(plan: Plan, interval: Interval, currency: str, common: Counter[str]) -> Offer | None:
    in_force = {
        price.interval: price
        for price in plan.prices
        if price.retired_at is None and price.currency == currency
    }
    price = in_force.get(interval)
    if price is None:
        return None
    monthly = in_force.get(Interval.MONTH)
    by_months = monthly.unit_amount * MONTHS if monthly else 0
    saved = max(by_months - price.unit_amount, 0) if interval is Interval.YEAR else 0
    return Offer(
        plan_id=plan.id,
        slug=plan.slug,
        name=plan.name,
        description=plan.description,
        features=tuple(_words(plan.features, common)),
        limits=tuple(plan.limits.items()),
        trial_days=plan.trial_days,
        price_id=price.id,
        interval=interval,
        currency=currency,
        unit_amount=price.unit_amount,
        saved=saved,
    )


def _words(features: dict[str, Any], common: Counter[str]) -> list[str]:
    """Return the features in words: what most plans have comes first, what sets one apart last."""
    ordered = sorted(features, key=lambda key: (-common[key], key))
    return [str(features[key]) for key in ordered]
