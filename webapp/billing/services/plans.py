"""What is sold by subscription: plans are written, priced, published and retired.

A price is never changed: a new one retires the old, and whoever has the old one keeps it.
Stripe learns of everything by a job. Services flush, callers commit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import exists, select, update

from webapp.billing.errors import InvalidPlan, NoSuchPlan
from webapp.billing.models import Entitlement, Interval, Plan, PlanPrice, PlanState
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.core.queue import enqueue

SYNC = "jobs.billing.sync_plan"
SLUG = re.compile(r"[a-z][a-z0-9-]{1,39}")
KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
LONGEST_TRIAL = 730
SOLD_BY = (Interval.MONTH, Interval.YEAR)
DEAREST = 99_999_999


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """What an author says of a plan; prices are set apart from it.

    ``features``: a key that code asks for, to the words a customer reads. ``limits``: a key to a
    whole number, None for no limit. The dearer of two plans has the higher ``position``.
    """

    name: str
    description: str = ""
    features: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int | None] = field(default_factory=dict)
    trial_days: int = 0
    position: int = 0


def create_plan(slug: str, draft: PlanDraft, by: Actor) -> Plan:
    """Write a plan down as a draft; flushes. Raises InvalidPlan."""
    if not SLUG.fullmatch(slug):
        raise InvalidPlan(
            f"{slug!r} can't name a plan: use 2 to 40 lower-case letters, digits and dashes, "
            "beginning with a letter."
        )
    _check(draft)
    if db.session.scalar(select(Plan.id).where(Plan.slug == slug)):
        raise InvalidPlan(f"There is a plan named {slug} already.")
    plan = Plan(slug=slug, name=draft.name.strip())
    _write(plan, draft)
    db.session.add(plan)
    db.session.flush()
    record(by, "plan.created", subject_of(plan), slug=slug)
    return plan


def edit_plan(plan_id: int, draft: PlanDraft, by: Actor) -> Plan:
    """Change what a plan says and grants, at once also to everybody who has it; flushes.

    Raises NoSuchPlan, InvalidPlan.
    """
    _check(draft)
    plan = lock_plan(plan_id)
    changed = _write(plan, draft)
    if not changed:
        return plan
    db.session.flush()
    if {"features", "limits"} & set(changed):
        _grant_again(plan)
    record(by, "plan.edited", subject_of(plan), fields=changed)
    _promise_sync(plan)
    return plan


def set_price(
    plan_id: int, interval: Interval, currency: str, unit_amount: int, by: Actor
) -> PlanPrice:
    """Sell a plan at ``unit_amount`` (minor units) per interval from now on; flushes.

    The price before is retired; who has it keeps it. The same amount again changes nothing.
    """
    if interval not in SOLD_BY:
        raise InvalidPlan("A plan is sold by the month or by the year.")
    if not 0 <= unit_amount <= DEAREST:
        raise InvalidPlan(f"A price is from 0 to {DEAREST} in the currency's smallest unit.")
    if not re.fullmatch("[a-z]{3}", currency):
        raise InvalidPlan("A currency is three lower-case letters, like usd.")
    plan = lock_plan(plan_id)
    before = price_in_force(plan, interval, currency)
    if before is not None and before.unit_amount == unit_amount:
        return before
    if before is not None:
        before.retired_at = clock.now()
        db.session.flush()
    price = PlanPrice(
        plan_id=plan.id, interval=interval, currency=currency, unit_amount=unit_amount
    )
    db.session.add(price)
    db.session.flush()
    db.session.expire(plan, ["prices"])
    record(
        by,
        "plan.priced",
        subject_of(plan),
        interval=interval.value,
        currency=currency,
        amount=unit_amount,
        before=before.unit_amount if before else None,
    )
    _promise_sync(plan)
    return price


def withdraw_price(price_id: int, by: Actor) -> None:
    """Sell a plan no longer at this price, without another in its place; flushes."""
    price = db.session.get(PlanPrice, price_id)
    if price is None:
        raise NoSuchPlan("There is no such price.")
    plan = lock_plan(price.plan_id)
    db.session.refresh(price)
    if price.retired_at is not None:
        return
    in_force = [each for each in plan.prices if each.retired_at is None]
    if plan.state is PlanState.PUBLISHED and len(in_force) == 1:
        raise InvalidPlan("This is the last price of a published plan: retire the plan instead.")
    price.retired_at = clock.now()
    db.session.flush()
    record(by, "plan.price_withdrawn", subject_of(plan), price=price.id)
    _promise_sync(plan)


def publish_plan(plan_id: int, by: Actor) -> Plan:
    """Put a plan on the pricing page; flushes. Raises InvalidPlan when it has no price."""
    plan = lock_plan(plan_id)
    if plan.state is PlanState.PUBLISHED:
        return plan
    if all(price.retired_at is not None for price in plan.prices):
        raise InvalidPlan("A plan needs a price before it can be published.")
    _turn(plan, PlanState.PUBLISHED, by)
    return plan


def retire_plan(plan_id: int, by: Actor) -> Plan:
    """Take a plan off the pricing page; whoever has it keeps it. Flushes."""
    plan = lock_plan(plan_id)
    if plan.state is not PlanState.RETIRED:
        _turn(plan, PlanState.RETIRED, by)
    return plan


def lock_plan(plan_id: int) -> Plan:
    plan = db.session.get(Plan, plan_id, with_for_update=True, populate_existing=True)
    if plan is None:
        raise NoSuchPlan(f"There is no plan {plan_id}.")
    return plan


def price_in_force(plan: Plan, interval: Interval, currency: str) -> PlanPrice | None:
    return next(
        (
            price
            for price in plan.prices
            if price.retired_at is None and (price.interval, price.currency) == (interval, currency)
        ),
        None,
    )


def subject_of(plan: Plan) -> str:
    return f"plan:{plan.id}"


def _turn(plan: Plan, state: PlanState, by: Actor) -> None:
    plan.state = state
    db.session.flush()
    # Every page's header asks the shop's row anyway, and so needn't count plans.
    published = select(Plan.id).where(Plan.state == PlanState.PUBLISHED)
    db.session.execute(update(Shop).values(has_plans=exists(published)))
    record(by, f"plan.{state.value}", subject_of(plan))
    _promise_sync(plan)


def _write(plan: Plan, draft: PlanDraft) -> list[str]:
    """Write the draft into the row; returns the names of what changed."""
    wanted = {
        "name": draft.name.strip(),
        "description": draft.description.strip(),
        "features": {key: words.strip() for key, words in draft.features.items()},
        "limits": dict(draft.limits),
        "trial_days": draft.trial_days,
        "position": draft.position,
    }
    changed = [name for name, value in wanted.items() if getattr(plan, name) != value]
    for name in changed:
        setattr(plan, name, wanted[name])
    return changed


def _check(draft: PlanDraft) -> None:
    if not 1 <= len(draft.name.strip()) <= 80:
        raise InvalidPlan("A plan needs a name of at most 80 characters.")
    if len(draft.description) > 500:
        raise InvalidPlan("Describe a plan in at most 500 characters.")
    if not 0 <= draft.trial_days <= LONGEST_TRIAL:
        raise InvalidPlan(f"A trial lasts from 0 to {LONGEST_TRIAL} days.")
    strange = [key for key in (*draft.features, *draft.limits) if not KEY.fullmatch(key)]
    if strange:
        raise InvalidPlan(
            f"{strange[0]!r} can't be a key: use lower-case letters, digits and underscores."
        )
    if any(not words.strip() for words in draft.features.values()):
        raise InvalidPlan("Say in words what each feature is: customers read them.")
    if any(limit is not None and limit < 0 for limit in draft.limits.values()):
        raise InvalidPlan("A limit is a whole number from 0, or none.")


def _grant_again(plan: Plan) -> None:
    grants = {"features": sorted(plan.features), "limits": plan.limits, "changed_at": clock.now()}
    db.session.execute(
        update(Entitlement)
        .where(Entitlement.plan_slug == plan.slug)
        .values(grants)
        .execution_options(synchronize_session=False)
    )


def _promise_sync(plan: Plan) -> None:
    """Let Stripe hear of it. A draft that Stripe never heard of stays between us."""
    if plan.state is PlanState.DRAFT and plan.stripe_product_id is None:
        return
    enqueue(SYNC, plan.id, subject=subject_of(plan))
