"""Our plans at Stripe: written there by a job, compared every night, and put right by choice."""

from typing import Any

from sqlalchemy import select

from webapp.billing.models import Plan, PlanPrice, PlanState
from webapp.billing.services.plans import (
    PlanDraft,
    edit_plan,
    lock_plan,
    publish_plan,
    retire_plan,
    subject_of,
)
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.queue import enqueue
from webapp.core.state import current_fork
from webapp.payments import gateway
from webapp.payments.errors import NoSuchStripeObject, StripeRefused

MISSING = "missing"
SOLD = {True: "for sale", False: "not for sale"}


def sync_plan(plan_id: int) -> None:
    """Make Stripe's product and prices like ours; commits around its calls to Stripe.

    Whatever is half done is found again by its keys: an object is made once, however often this
    runs. What Stripe refuses is kept as ``sync_error``; StripeUnavailable is raised.
    """
    try:
        _push(plan_id)
        error = None
    except StripeRefused as refused:
        db.session.rollback()
        error = refused.sentence
    plan = lock_plan(plan_id)
    plan.sync_error = error
    if error is None:
        plan.synced_at = clock.now()
        plan.drift = {}
    db.session.commit()


def make_stripe_like_ours(plan_id: int, by: Actor) -> None:
    """Promise to undo what was changed at Stripe; flushes."""
    plan = lock_plan(plan_id)
    record(by, "plan.drift_undone", subject_of(plan), fields=sorted(plan.drift))
    enqueue("jobs.billing.sync_plan", plan.id, subject=subject_of(plan))


def take_stripes(plan_id: int, by: Actor) -> None:
    """Take over what was changed at Stripe, as far as ours can follow; commits around the network.

    A price's amount is never ours to take: there a price of Stripe's own stands in its place.
    """
    plan = db.session.get_one(Plan, plan_id)
    product_id = plan.stripe_product_id
    db.session.commit()
    if product_id is None:
        return
    theirs = gateway.get_product(product_id)
    plan = lock_plan(plan_id)
    draft = PlanDraft(
        name=theirs.name,
        description=theirs.description,
        features=plan.features,
        limits=plan.limits,
        trial_days=plan.trial_days,
        position=plan.position,
    )
    edit_plan(plan_id, draft, by)
    if not theirs.active and plan.state is PlanState.PUBLISHED:
        retire_plan(plan_id, by)
    elif theirs.active and plan.state is PlanState.RETIRED:
        publish_plan(plan_id, by)
    _retire_unsold(plan)
    record(by, "plan.drift_taken", subject_of(plan), fields=sorted(plan.drift))
    plan.drift = {}
    db.session.flush()


def check_plan(plan_id: int) -> dict[str, Any]:
    """Compare a plan with Stripe's and keep what differs; flushes. Begins with network.

    Returns the drift: field to [ours, theirs].
    """
    plan = db.session.get_one(Plan, plan_id)
    product_id = plan.stripe_product_id
    ours = {price.id: _price_words(price) for price in plan.prices if price.stripe_price_id}
    known = {price.id: price.stripe_price_id for price in plan.prices if price.stripe_price_id}
    face = _face_words(plan)
    db.session.commit()
    if product_id is None:
        return {}
    drift = _differences("", face, _their_face(product_id))
    for price_id, stripe_id in known.items():
        drift |= _differences(f"price {price_id} ", ours[price_id], _their_price(str(stripe_id)))
    plan = lock_plan(plan_id)
    plan.drift = drift
    db.session.flush()
    return drift


def list_mirrored_plans() -> list[int]:
    """Return the ids of all plans that Stripe knows."""
    known = select(Plan.id).where(Plan.stripe_product_id.is_not(None)).order_by(Plan.id)
    return list(db.session.scalars(known))


def _push(plan_id: int) -> None:
    plan = db.session.get_one(Plan, plan_id, populate_existing=True)
    name, description, made_for = plan.name, plan.description, _key(plan)
    active, product_id, slug = plan.state is PlanState.PUBLISHED, plan.stripe_product_id, plan.slug
    marks = {"fork": current_fork().name, "plan": slug}
    db.session.commit()
    if product_id is None:
        # By what never changes, so that asking again asks for the same; the rest follows.
        product_id = gateway.create_product(slug, "", marks, f"{made_for}-product")
        lock_plan(plan_id).stripe_product_id = product_id
        db.session.commit()
    ticket = f"{made_for}-{clock.now():%Y%m%d%H%M%S%f}"
    gateway.update_product(product_id, name, description, active, ticket)
    for price_id in _list_prices(plan_id):
        _push_price(price_id, product_id, marks)


def _list_prices(plan_id: int) -> list[int]:
    of_plan = select(PlanPrice.id).where(PlanPrice.plan_id == plan_id).order_by(PlanPrice.id)
    ids = list(db.session.scalars(of_plan))
    db.session.commit()
    return ids


def _push_price(price_id: int, product_id: str, marks: dict[str, str]) -> None:
    price = db.session.get_one(PlanPrice, price_id, populate_existing=True)
    terms = price.unit_amount, price.currency, price.interval.value
    stripe_id, sold = price.stripe_price_id, price.retired_at is None
    key = f"{current_fork().name}-price-{price.id}-{price.created_at:%Y%m%d%H%M%S%f}"
    db.session.commit()
    if stripe_id is None:
        if not sold:
            return
        made = gateway.create_price(product_id, *terms, marks | {"price": str(price_id)}, key)
        db.session.get_one(PlanPrice, price_id).stripe_price_id = made
        db.session.commit()
        return
    if gateway.get_price(stripe_id).active is not sold:
        ticket = f"{key}-{clock.now():%Y%m%d%H%M%S%f}"
        gateway.set_price_active(stripe_id, sold, ticket)


def _key(plan: Plan) -> str:
    return f"{current_fork().name}-plan-{plan.id}-{plan.created_at:%Y%m%d%H%M%S%f}"


def _retire_unsold(plan: Plan) -> None:
    for price in plan.prices:
        told = plan.drift.get(f"price {price.id} state")
        if told and told[1] != SOLD[True] and price.retired_at is None:
            price.retired_at = clock.now()


def _face_words(plan: Plan) -> dict[str, str]:
    return {
        "name": plan.name,
        "description": plan.description,
        "state": SOLD[plan.state is PlanState.PUBLISHED],
    }


def _their_face(product_id: str) -> dict[str, str]:
    try:
        found = gateway.get_product(product_id)
    except NoSuchStripeObject:
        return {"state": MISSING}
    return {"name": found.name, "description": found.description, "state": SOLD[found.active]}


def _price_words(price: PlanPrice) -> dict[str, str]:
    return {
        "amount": f"{price.unit_amount} {price.currency}",
        "interval": price.interval.value,
        "state": SOLD[price.retired_at is None],
    }


def _their_price(price_id: str) -> dict[str, str]:
    try:
        found = gateway.get_price(price_id)
    except NoSuchStripeObject:
        return {"state": MISSING}
    return {
        "amount": f"{found.unit_amount} {found.currency}",
        "interval": found.interval,
        "state": SOLD[found.active],
    }


def _differences(
    prefix: str, ours: dict[str, str], theirs: dict[str, str]
) -> dict[str, list[str | None]]:
    """Return what differs; of what is missing there only that."""
    fields = ["state"] if theirs["state"] == MISSING else list(ours)
    return {
        f"{prefix}{name}": [ours[name], theirs.get(name)]
        for name in fields
        if ours[name] != theirs.get(name)
    }
